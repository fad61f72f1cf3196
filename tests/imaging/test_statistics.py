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

from mura_core import ImageStatistics, PixelStatistics, standardise, two_pass_kahan
from mura_core.errors import DataError
from mura_core.imaging import _pixel_sums, load_statistics
from mura_core.imaging._processor import best_instructions

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


any_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=150, deadline=None)
@given(values=st.lists(any_float32, min_size=2, max_size=12), seed=st.integers(0, 99))
def test_any_floats_in_any_order_and_any_parts_are_summed_exactly(values, seed):
    # From 2**-149 to 2**128 at once: far more than a pair of float64 can hold.
    mean, deviation = float(exact_mean(values)), exact_deviation(values)
    random = np.random.default_rng(seed)
    for _ in range(3):
        images = random.permutation(np.array(values, np.float32))[:, None, None]
        cut = random.integers(0, len(values) + 1)
        statistics = summed(images[:cut])
        statistics.merge(ImageStatistics.from_state(summed(images[cut:]).state()))
        assert statistics.count == len(values)
        assert statistics.mean()[0, 0] == mean
        assert statistics.deviation()[0, 0] == deviation


def test_a_merged_part_may_be_the_whole_itself():
    values = [2.0**100, 1.0, 2.0**-140]
    statistics = summed(np.array(values, np.float32)[:, None])
    statistics.merge(statistics)
    assert statistics.mean()[0] == float(exact_mean(values))
    assert statistics.deviation()[0] == exact_deviation(values * 2)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_two_parts_merged_are_the_whole(dtype, seed, cut):
    images = np.random.default_rng(seed).integers(0, 256, (20, 3, 4)).astype(dtype)
    merged = summed(images[:cut])
    merged.merge(summed(images[cut:]))
    whole = ImageStatistics()
    whole.update_all(images)
    assert merged.count == whole.count
    np.testing.assert_array_equal(merged.mean(), whole.mean())
    np.testing.assert_array_equal(merged.deviation(), whole.deviation())


def test_squares_of_more_images_than_32_bits_hold():
    # 66,052 squares of 255 are more than 2**32.
    images = np.full((70_000, 3), 255, np.uint8)
    images[0] = 0
    for instructions in range(best_instructions() + 1):
        total, squares = np.zeros(3, np.uint64), np.zeros(3, np.uint64)
        _pixel_sums.add_integers(images, total, squares, instructions)
        assert total.tolist() == [255 * 69_999] * 3
        assert squares.tolist() == [255**2 * 69_999] * 3


def test_all_instructions_sum_the_same():
    random = np.random.default_rng(3)
    reals = random.normal(size=(40, 1037)).astype(np.float32)
    integers = random.integers(0, 256, (40, 2077), dtype=np.uint8)
    results = set()
    for instructions in range(best_instructions() + 1):
        pairs, beyond = np.zeros((2, 2, 1037)), np.zeros((2, 1037))
        for image in reals:
            _pixel_sums.add_reals(image, *pairs, beyond, instructions)
        totals = np.zeros((2, 2077), np.uint64)
        _pixel_sums.add_integers(integers, *totals, instructions)
        results.add((pairs.tobytes(), totals.tobytes()))
    assert len(results) == 1
    np.testing.assert_array_equal(totals[1], (integers.astype(np.uint64) ** 2).sum(axis=0))


def test_deviations_are_correctly_rounded_however_close_the_call():
    # All pairs of levels, and long runs of one level with one other: many near ties.
    levels = np.arange(256, dtype=np.uint8)
    pairs = np.stack(np.meshgrid(levels, levels))
    deviation = ImageStatistics()
    deviation.update_all(pairs)
    for index in [(0, 0), (0, 1), (3, 200), (255, 254), (17, 91)]:
        values = [int(value) for value in pairs[(slice(None), *index)]]
        assert deviation.deviation()[index] == exact_deviation(values)
    runs = np.zeros((1000, 256), np.uint16)
    runs[0] = np.arange(256) * 257
    exact = [exact_deviation([int(level), *[0] * 999]) for level in runs[0]]
    assert summed(runs).deviation().tolist() == exact


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_two_passes_of_the_report_agree(dtype):
    images = np.random.default_rng(4).integers(0, 256, (200, 8, 9)).astype(dtype)
    kahan = two_pass_kahan(images)
    exact = summed(images).result()
    assert kahan.count == exact.count
    np.testing.assert_allclose(kahan.mean, exact.mean, rtol=4e-16)
    np.testing.assert_allclose(kahan.deviation, exact.deviation, rtol=4e-16)
    with pytest.raises(DataError, match="need at least 2 images, got 1"):
        two_pass_kahan(images[:1])
    with pytest.raises(ValueError, match="first pass had 5 images and the second 0"):
        two_pass_kahan(iter(images[:5]))


def test_kahans_compensation_survives_the_compiler():
    # Naive float64 sums of these lose a third of the ones.
    images = np.ones((30_001, 1), np.float32)
    images[0] = 2.0**53
    assert two_pass_kahan(images).mean[0] == (2.0**53 + 30_000) / 30_001


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
    with pytest.raises(ValueError, match="dtype float64 is not uint8"):
        statistics.update(np.ones((2, 3), np.float64))


def test_one_image_has_no_sample_deviation():
    statistics = summed([np.ones((2, 3), np.uint8)])
    with pytest.raises(DataError, match="need at least 2 images, got 1"):
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
