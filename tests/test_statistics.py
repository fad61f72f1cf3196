"""The mean and deviation images, against exact rational arithmetic."""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mura_core import ImageStatistics, PixelStatistics, standardise
from mura_core.errors import DataError
from mura_core.statistics import load_statistics

DTYPES = (np.uint8, np.uint16, np.float32)


def summed(images) -> ImageStatistics:
    statistics = ImageStatistics()
    for image in images:
        statistics.update(image)
    return statistics


def exact_mean(values) -> Fraction:
    return sum(map(Fraction, values), Fraction(0)) / len(values)


def exact_deviation(values, ddof: int = 1) -> float:
    mean = exact_mean(values)
    variance = sum((Fraction(value) - mean) ** 2 for value in values) / (len(values) - ddof)
    with localcontext(prec=200):
        return float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mean_and_deviation_are_exact(dtype, data):
    count = data.draw(st.integers(2, 30))
    elements = (
        st.floats(-(2.0**30), 2.0**30, width=32, allow_subnormal=False).filter(
            lambda x: x == 0 or abs(x) > 2.0**-20
        )
        if dtype == np.float32
        else None
    )
    images = data.draw(hnp.arrays(dtype, (count, 2, 3), elements=elements))
    statistics = summed(images)
    for index in np.ndindex(2, 3):
        values = [value.item() for value in images[(slice(None), *index)]]
        assert statistics.mean()[index] == float(exact_mean(values))
        assert statistics.deviation()[index] == exact_deviation(values)
        assert statistics.deviation(ddof=0)[index] == exact_deviation(values, ddof=0)


@pytest.mark.parametrize(
    ("dtype", "offset"), [(np.uint8, 254), (np.uint16, 65_000), (np.float32, 16_000_000)]
)
def test_large_offset_and_tiny_spread_over_a_million_values(dtype, offset):
    # Naive float64 sums lose the spread altogether here. A million values a pixel are made of
    # eight equal parts, merged.
    random = np.random.default_rng(0)
    values = offset + random.integers(0, 2, (125_000, 2))
    part = summed(values.astype(dtype))
    whole = ImageStatistics()
    for _ in range(8):
        whole.merge(part)
    assert whole.count == 1_000_000
    for pixel in range(2):
        ones = 8 * int((values[:, pixel] - offset).sum())
        count = 1_000_000
        assert whole.mean()[pixel] == float(Fraction(offset * count + ones, count))
        variance = Fraction(ones * (count - ones), count * (count - 1))
        error = abs(whole.deviation()[pixel] - np.sqrt(float(variance)))
        assert error <= np.spacing(np.sqrt(float(variance)))


def test_the_compensation_survives_the_compiler():
    # 2**24 hides a one from a float32 sum, and 2**60 from a float64 one: only the compensation
    # keeps it. Under -ffast-math this mean is 0.
    large = np.float32(2.0**60)
    statistics = summed(np.array([[large], [1], [-large]], np.float32))
    assert statistics.mean()[0] == float(Fraction(1, 3))


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_two_parts_merged_are_the_whole(dtype, seed, cut):
    images = np.random.default_rng(seed).integers(0, 256, (20, 3, 4)).astype(dtype)
    merged = summed(images[:cut])
    merged.merge(summed(images[cut:]))
    whole = summed(images)
    assert merged.count == whole.count
    np.testing.assert_array_equal(merged.mean(), whole.mean())
    np.testing.assert_array_equal(merged.deviation(), whole.deviation())


def test_order_changes_no_bit():
    images = np.random.default_rng(1).integers(0, 65536, (50, 4, 4), dtype=np.uint16)
    forwards, backwards = summed(images), summed(images[::-1])
    np.testing.assert_array_equal(forwards.deviation(), backwards.deviation())


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_pixel_that_is_no_number_is_refused_by_name(bad):
    image = np.ones((2, 3), np.float32)
    image[1, 2] = bad
    statistics = summed([np.ones((2, 3), np.float32)])
    with pytest.raises(DataError, match=r"elbow\.png: the pixel in row 1, column 2 is -?(nan|inf)"):
        statistics.update(image, "elbow.png")
    assert statistics.count == 1
    assert np.isfinite(statistics.mean()).all()


def test_images_that_do_not_belong_together_are_refused():
    statistics = summed([np.ones((2, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"shape \(3, 2\) is not \(2, 3\)"):
        statistics.update(np.ones((3, 2), np.uint8))
    with pytest.raises(ValueError, match="can't be summed together"):
        statistics.update(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="dtype float64 is not one of"):
        statistics.update(np.ones((2, 3), np.float64))


def test_one_image_has_no_sample_deviation():
    statistics = summed([np.ones((2, 3), np.uint8)])
    with pytest.raises(DataError, match="need at least 2 images; there are 1"):
        statistics.deviation()
    assert (statistics.deviation(ddof=0) == 0).all()


def test_a_pixel_that_never_varies_is_standardised_to_zero():
    images = np.array([[[0, 10]], [[0, 20]]], np.uint8)
    sums = summed(images)
    statistics = PixelStatistics(sums.mean(), sums.deviation(), sums.count)
    assert statistics.deviation[0, 0] == 0
    unseen = np.array([[[255, 15]]], np.uint8)
    np.testing.assert_array_equal(standardise(unseen, statistics), [[[0, 0]]])
    assert standardise(images, statistics).dtype == np.float32


def test_saved_statistics_are_read_back(tmp_path: Path):
    statistics = PixelStatistics(np.array([[1 / 3]]), np.array([[2 / 3]]), 7)
    statistics.save(tmp_path / "statistics.npz")
    read = load_statistics(tmp_path / "statistics.npz")
    assert (read.mean, read.deviation, read.count) == (1 / 3, 2 / 3, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["statistics.npz"]
