"""Without the compiled extensions: the same bits by NumPy and plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from png_writer import SIGNATURE, random_png

from mura_core.errors import PngError
from mura_core.imaging import (
    FITS,
    METHODS,
    _pixel_sums,
    _resize,
    pure_pixel_sums,
    pure_resize,
    resizing,
)
from mura_core.imaging.extensions import IS_PURE, best_instructions
from mura_core.imaging.png import _chunks, _rows, pure_chunks, pure_rows

SEEDS = st.integers(0, 2**32 - 1)


def test_the_extensions_are_compiled():
    assert not IS_PURE


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(METHODS), st.sampled_from([np.uint8, np.uint16]))
def test_resizing(seed, method, dtype):
    random = np.random.default_rng(seed)
    height, width, size = random.integers(1, 80, 3)
    image = random.integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    highest = int(np.iinfo(dtype).max)
    weights = (
        *resizing._weights(height, size, method, highest),
        *resizing._weights(width, size, method, 255),
    )
    for level in (np.float32, np.uint8):
        found, expected = np.empty((2, size, size), level)
        _resize.weighted(image, *weights, expected, best_instructions())
        pure_resize.weighted(image, *weights, found, 0)
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from([np.uint8, np.uint16]))
def test_integer_sums(seed, dtype):
    random = np.random.default_rng(seed)
    images = random.integers(0, np.iinfo(dtype).max, (7, 90), dtype, endpoint=True)
    found, expected = random.integers(0, 2**40, (2, 90)).astype(np.uint64)[None].repeat(2, axis=0)
    _pixel_sums.add_integers(images, *expected, best_instructions())
    pure_pixel_sums.add_integers(images, *found, 0)
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_real_sums_and_what_pairs_cannot_hold(seed):
    random = np.random.default_rng(seed)
    # Of very different sizes, so that something is lost, and at times doesn't fit a pair.
    images = random.normal(size=(20, 40)) * 10.0 ** random.integers(-40, 38, (20, 40))
    images = images.astype(np.float32)
    found, expected = np.zeros((2, 2, 2, 40))
    for image in images:
        beyond, also = np.empty((2, 2, 40))
        one = _pixel_sums.add_reals(image, *expected, beyond, best_instructions())
        assert pure_pixel_sums.add_reals(image, *found, also, 0) == one
        np.testing.assert_array_equal(also, beyond)
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_kahan_sums(seed, dtype):
    random = np.random.default_rng(seed)
    images = (random.random((9, 30)) * 255).astype(dtype)
    mean = images.mean(axis=0, dtype=np.float64)
    for name, before in (("add_by_kahan", ()), ("add_squares_by_kahan", (mean,))):
        found, expected = np.zeros((2, 2, 30))
        for image in images:
            getattr(_pixel_sums, name)(image, *before, *expected)
            getattr(pure_pixel_sums, name)(image, *before, *found)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number(value):
    pixels = np.arange(20, dtype=np.float32)
    assert pure_pixel_sums.first_not_finite(pixels) == -1
    pixels[[7, 9]] = value
    assert pure_pixel_sums.first_not_finite(pixels) == 7


@settings(deadline=None, max_examples=100)
@given(SEEDS, st.integers(1, 4))
def test_png_rows(seed, pixel_bytes):
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 30, 2)
    held = random.integers(0, 256, (height, 1 + width * pixel_bytes), np.uint8)
    held[:, 0] %= 5
    rows = held.tobytes()
    for channel in range(pixel_bytes):
        found, expected = np.empty((2, height, width), np.uint8)
        _rows.undo_filters(rows, pixel_bytes, channel, expected, best_instructions())
        pure_rows.undo_filters(rows, pixel_bytes, channel, found, 0)
        np.testing.assert_array_equal(found, expected)
    if pixel_bytes >= 3:
        grey = held.copy()
        grey[:, 1:] = np.repeat(grey[:, 1::pixel_bytes], pixel_bytes, axis=1)
        for some in (held, grey):
            arguments = (some.tobytes(), height, width, pixel_bytes)
            expected = _rows.channels_are_equal(*arguments, best_instructions())
            assert pure_rows.channels_are_equal(*arguments, 0) == expected
    held[:, 0] = random.integers(0, 7, height)
    arguments = (held.tobytes(), 0, int(height), held.shape[1])
    assert pure_rows.first_bad_filter(*arguments) == _rows.first_bad_filter(*arguments)


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_luma(seed):
    planes = np.random.default_rng(seed).integers(0, 256, (3, 20, 30), np.uint8)
    found, expected = np.empty((2, 20, 30), np.uint8)
    _rows.add_luma(*planes, expected)
    pure_rows.add_luma(*planes, found)
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=300)
@given(SEEDS, st.integers(0, 3))
def test_chunks_of_good_and_of_damaged_files(seed, damages):
    random = np.random.default_rng(seed)
    content = bytearray(random_png(random))
    for _ in range(damages):
        place = int(random.integers(0, len(content)))
        if random.random() < 0.3:
            del content[place : place + int(random.integers(1, 20))]
        else:
            content[place] ^= 1 << int(random.integers(0, 8))
        content = content or bytearray(SIGNATURE)

    def parsed(module):
        try:
            header, data, data_at, is_plain = module.parse(bytes(content))
        except PngError as error:
            return str(error)
        return tuple(header), bytes(data), data_at, is_plain

    assert parsed(pure_chunks) == parsed(_chunks)


@pytest.mark.parametrize("fit", FITS)
def test_a_whole_data_set_has_the_same_pixels_and_statistics(mura: Path, fit):
    code = (
        "import sys; from pathlib import Path;"
        "from mura_core import Square, read_manifest, stream_statistics;"
        "from mura_core.imaging import IS_PURE;"
        "manifest = read_manifest(Path(sys.argv[1]));"
        "paths = [manifest.folder / path for path in manifest.table['path']];"
        "found = stream_statistics(paths, Square(40, 'area', sys.argv[2])).result();"
        "print(IS_PURE, found.mean.tobytes().hex(), found.deviation.tobytes().hex())"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", code, str(mura), fit],
            env=os.environ | {"MURA_PURE": pure},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for pure in ("0", "1")
    ]
    assert [result[0] for result in results] == ["False", "True"]
    assert results[0][1:] == results[1][1:]
