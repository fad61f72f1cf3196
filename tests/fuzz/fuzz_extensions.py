"""Call each entry of the extensions with right and wrong arguments, and check what they answer.

    python tests/fuzz/fuzz_extensions.py --count 10000

A call with arguments that fit must give what NumPy gives. Any other must raise a ValueError, a
TypeError or an OverflowError: the extensions are compiled without bounds checks, so what they
accept, they read and write. The arguments are made right and then, some of them, spoilt.
"""

from __future__ import annotations

import argparse
import faulthandler
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.imaging import _pixel_sums, _resize
from mura_core.imaging._processor import best_instructions
from mura_core.imaging.png import _rows

DTYPES = (np.uint8, np.uint16, np.int64, np.uint64, np.float32, np.float64, ">u2", ">f8", bool)
Draw = st.DrawFn
Arguments = dict[str, Any]


class DoesNotFit(Exception):
    """The arguments of a call contradict its contract."""


def need(condition: bool) -> None:
    if not condition:
        raise DoesNotFit


def need_array(array: Any, dtypes: tuple[Any, ...], ndim: int, *, written: bool = False) -> None:
    """Check what a typed memoryview demands: dtype, rank, contiguity and leave to write."""
    need(isinstance(array, np.ndarray) and array.dtype in [np.dtype(dtype) for dtype in dtypes])
    need(array.ndim == ndim and array.flags.c_contiguous)
    need(array.flags.writeable or not written)


def need_instructions(number: int) -> None:
    need(0 <= number <= best_instructions())


def spoilt(draw: Draw, value: Any) -> Any:
    """Return an argument of another length, rank, dtype or layout, or of another kind."""
    if isinstance(value, int):
        return draw(st.sampled_from([-1, 0, 1, 2, 7, 2**31, 2**62, 2**70]))
    if isinstance(value, bytes):
        return draw(st.sampled_from([b"", value[:-1], value + b"\0", value[: len(value) // 2]]))
    kind = draw(st.sampled_from(["shape", "rank", "dtype", "layout", "read-only", "none"]))
    if kind == "shape":
        shape = tuple(max(0, side + draw(st.integers(-2, 2))) for side in value.shape)
        return np.resize(value, shape)
    if kind == "rank":
        return value[None] if draw(st.booleans()) else value.reshape(-1)
    if kind == "dtype":
        with np.errstate(invalid="ignore"):
            return value.astype(draw(st.sampled_from(DTYPES)))
    if kind == "layout":
        return (
            np.repeat(value, 2, axis=-1)[..., ::2] if value.ndim == 1 else np.asfortranarray(value)
        )
    if kind == "read-only":
        value.flags.writeable = False
        return value
    return None


sides = st.integers(1, 40)
numbers = st.integers(0, 2**32 - 1).map(np.random.default_rng)
some_instructions = st.integers(0, best_instructions())


# Each entry: right arguments, and what a call must do with any arguments ------------------------


def integer_sums(draw: Draw) -> Arguments:
    count, pixels, random = draw(st.integers(0, 300)), draw(sides), draw(numbers)
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    return {
        "images": random.integers(0, np.iinfo(dtype).max, (count, pixels), dtype, endpoint=True),
        "total": random.integers(0, 2**40, pixels, np.uint64),
        "total_of_squares": random.integers(0, 2**40, pixels, np.uint64),
        "instructions": draw(some_instructions),
    }


def add_integers(images: Any, total: Any, total_of_squares: Any, instructions: int) -> None:
    need_array(images, (np.uint8, np.uint16), 2)
    for sums in (total, total_of_squares):
        need_array(sums, (np.uint64,), 1, written=True)
        need(len(sums) == images.shape[1])
    need_instructions(instructions)
    wide = images.astype(np.uint64)
    total += wide.sum(axis=0)
    total_of_squares += (wide * wide).sum(axis=0)


def real_sums(draw: Draw) -> Arguments:
    pixels, random = draw(sides), draw(numbers)
    # Whole numbers, which a pair of float64 holds exactly.
    whole = random.integers(-1000, 1000, (5, pixels))
    return {
        "pixels": whole[0].astype(np.float32),
        "total": np.stack([whole[1], np.zeros(pixels)]),
        "total_of_squares": np.stack([whole[2], np.zeros(pixels)]),
        "beyond": np.full((2, pixels), np.nan),
        "instructions": draw(some_instructions),
    }


def add_reals(
    pixels: Any, total: Any, total_of_squares: Any, beyond: Any, instructions: int
) -> bool:
    need_array(pixels, (np.float32,), 1)
    for pairs in (total, total_of_squares, beyond):
        need_array(pairs, (np.float64,), 2, written=True)
        need(pairs.shape == (2, len(pixels)))
    need_instructions(instructions)
    total[0] += pixels
    total_of_squares[0] += pixels.astype(np.float64) ** 2
    beyond[:] = 0
    return False


def pair_sums(draw: Draw) -> Arguments:
    pixels, random = draw(sides), draw(numbers)
    whole = random.integers(-1000, 1000, (2, pixels)).astype(np.float64)
    return {
        "terms": whole[0],
        "total": np.stack([whole[1], np.zeros(pixels)]),
        "beyond": np.full(pixels, np.nan),
    }


def add_to_pairs(terms: Any, total: Any, beyond: Any) -> bool:
    need_array(terms, (np.float64,), 1)
    need_array(total, (np.float64,), 2, written=True)
    need_array(beyond, (np.float64,), 1, written=True)
    need(total.shape == (2, len(terms)) and beyond.shape == terms.shape)
    total[0] += terms
    beyond[:] = 0
    return False


def integer_totals(draw: Draw) -> Arguments:
    pixels, random = draw(sides), draw(numbers)
    count = draw(st.integers(2, 30))
    values = random.integers(0, 256, (count, pixels)).astype(np.uint64)
    return {
        "count": count,
        "divisor": count - 1,
        "total": values.sum(axis=0),
        "total_of_squares": (values * values).sum(axis=0),
        "out": np.full(pixels, np.nan),
    }


def nearest_deviations(
    count: int, divisor: int, total: Any, total_of_squares: Any, out: Any
) -> None:
    need(0 < count < 2**64 and 0 < divisor < 2**64)
    for sums in (total, total_of_squares):
        need_array(sums, (np.uint64,), 1)
        need(sums.shape == np.shape(out))
    need_array(out, (np.float64,), 1, written=True)
    for pixel, (one, square) in enumerate(
        zip(total.tolist(), total_of_squares.tolist(), strict=True)
    ):
        spread = count * square - one * one
        # Sums that no images have: the answer means nothing.
        out[pixel] = np.nan if spread < 0 else np.sqrt(spread / (count * divisor))


def kahan_sums(draw: Draw) -> Arguments:
    pixels, random = draw(sides), draw(numbers)
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    return {
        "pixels": random.integers(0, 256, pixels).astype(dtype),
        "sums": random.integers(0, 1000, pixels).astype(np.float64),
        "compensations": np.zeros(pixels),
    }


def add_by_kahan(pixels: Any, sums: Any, compensations: Any) -> None:
    need_array(pixels, (np.uint8, np.uint16, np.float32), 1)
    for array in (sums, compensations):
        need_array(array, (np.float64,), 1, written=True)
        need(array.shape == pixels.shape)
    sums += pixels


def kahan_squares(draw: Draw) -> Arguments:
    arguments = kahan_sums(draw)
    mean = draw(numbers).integers(0, 256, len(arguments["pixels"])).astype(np.float64)
    pixels = arguments.pop("pixels")
    return {"pixels": pixels, "mean": mean, **arguments}


def add_squares_by_kahan(pixels: Any, mean: Any, sums: Any, compensations: Any) -> None:
    need_array(mean, (np.float64,), 1)
    need(mean.shape == np.shape(pixels))
    need_array(pixels, (np.uint8, np.uint16, np.float32), 1)
    add_by_kahan((pixels - mean).astype(np.float32) ** 2, sums, compensations)


def reals(draw: Draw) -> Arguments:
    pixels = draw(numbers).random(draw(st.integers(0, 40)), np.float32)
    if len(pixels) and draw(st.booleans()):
        pixels[draw(st.integers(0, len(pixels) - 1))] = draw(st.sampled_from([np.nan, -np.inf]))
    return {"pixels": pixels}


def first_not_finite(pixels: Any) -> int:
    need_array(pixels, (np.float32,), 1)
    return next(iter(np.flatnonzero(~np.isfinite(pixels)).tolist()), -1)


def resizing(draw: Draw) -> Arguments:
    random = draw(numbers)
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    lengths, sizes = (draw(st.tuples(sides, sides)) for _ in range(2))
    arguments: Arguments = {"image": random.integers(0, 256, lengths).astype(dtype)}
    for name, length, size in zip(("row", "column"), lengths, sizes, strict=True):
        taps = draw(st.integers(1, length))
        arguments[f"first_{name}"] = random.integers(0, length - taps + 1, size)
        weights = random.random((size, taps)) + 0.01
        weights /= weights.sum(axis=1, keepdims=True)
        arguments[f"{name}_weights"] = weights.astype(np.float32)
    arguments["out"] = np.zeros(sizes, draw(st.sampled_from([np.uint8, np.float32])))
    return arguments | {"instructions": draw(some_instructions)}


def weighted(
    image: Any,
    first_row: Any,
    row_weights: Any,
    first_column: Any,
    column_weights: Any,
    out: Any,
    instructions: int,
) -> None:
    need_array(image, (np.uint8, np.uint16), 2)
    need_array(out, (np.uint8, np.float32), 2, written=True)
    need(image.size > 0 and out.size > 0)
    need_instructions(instructions)
    matrices = []
    for first, weights, length, size in (
        (first_row, row_weights, image.shape[0], out.shape[0]),
        (first_column, column_weights, image.shape[1], out.shape[1]),
    ):
        need_array(first, (np.intp,), 1)
        need_array(weights, (np.float32,), 2)
        need(weights.shape[0] == len(first) == size and weights.shape[1] > 0)
        need(bool((first >= 0).all() and (first + weights.shape[1] <= length).all()))
        matrix = np.zeros((size, length))
        for row, (start, its_weights) in enumerate(zip(first, weights, strict=True)):
            matrix[row, start : start + weights.shape[1]] = its_weights
        matrices.append(matrix)
    levels = matrices[0] @ image @ matrices[1].T
    out[:] = np.floor(levels + 0.5).clip(0, 255) if out.dtype == np.uint8 else levels


def filter_bytes(draw: Draw) -> Arguments:
    count, row_bytes = draw(sides), draw(sides)
    start, behind = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    rows = draw(numbers).integers(0, 5, start + count * row_bytes + behind).astype(np.uint8)
    if draw(st.booleans()):
        rows[start + draw(st.integers(0, count - 1)) * row_bytes] = 5
    return {"rows": rows, "start": start, "count": count, "row_bytes": row_bytes}


def first_bad_filter(rows: Any, start: int, count: int, row_bytes: int) -> int:
    need_array(rows, (np.uint8,), 1)
    need(start >= 0 and count >= 0 and row_bytes >= 1 and start + count * row_bytes <= len(rows))
    filters = rows[start : start + count * row_bytes : row_bytes]
    return next(iter(np.flatnonzero(filters > 4).tolist()), -1)


def coloured_rows(draw: Draw) -> Arguments:
    height, width, random = draw(sides), draw(sides), draw(numbers)
    pixel_bytes = draw(st.sampled_from([3, 4]))
    rows = random.integers(0, 256, (height, 1 + width * pixel_bytes)).astype(np.uint8)
    if draw(st.booleans()):
        rows[:, 2::pixel_bytes] = rows[:, 3::pixel_bytes] = rows[:, 1::pixel_bytes]
    size = {"height": height, "width": width, "pixel_bytes": pixel_bytes}
    return {"rows": rows.reshape(-1), **size, "instructions": draw(some_instructions)}


def rows_of_pixels(rows: Any, height: int, width: int, pixel_bytes: int) -> Any:
    need_array(rows, (np.uint8,), 1)
    need(height > 0 and width > 0 and len(rows) == height * (1 + width * pixel_bytes))
    return rows.reshape(height, 1 + width * pixel_bytes)


def channels_are_equal(
    rows: Any, height: int, width: int, pixel_bytes: int, instructions: int
) -> bool:
    need(pixel_bytes in (3, 4))
    need_instructions(instructions)
    pixels = rows_of_pixels(rows, height, width, pixel_bytes)[:, 1:]
    pixels = pixels.reshape(height, width, pixel_bytes)
    return bool((pixels[..., :3] == pixels[..., :1]).all())


def filtered_rows(draw: Draw) -> Arguments:
    height, width, random = draw(sides), draw(sides), draw(numbers)
    pixel_bytes = draw(st.integers(1, 8))
    rows = random.integers(0, 256, (height, 1 + width * pixel_bytes)).astype(np.uint8)
    rows[:, 0] = random.integers(0, 5, height)
    return {
        "rows": rows.reshape(-1),
        "pixel_bytes": pixel_bytes,
        "channel": draw(st.integers(0, pixel_bytes - 1)),
        "plane": np.zeros((height, width), np.uint8),
        "instructions": draw(some_instructions),
    }


def undo_filters(rows: Any, pixel_bytes: int, channel: int, plane: Any, instructions: int) -> None:
    need_array(plane, (np.uint8,), 2, written=True)
    need(1 <= pixel_bytes <= 8 and 0 <= channel < pixel_bytes)
    need_instructions(instructions)
    lines = rows_of_pixels(rows, *plane.shape, pixel_bytes)
    need(bool((lines[:, 0] <= 4).all()))
    # Section 9.2 of the PNG specification, a byte at a time.
    above = np.zeros(plane.shape[1] + 1, int)
    for y, line in enumerate(lines):
        row = np.zeros(plane.shape[1] + 1, int)
        for x, byte in enumerate(line[1 + channel :: pixel_bytes].tolist()):
            left, up, corner = row[x], above[x + 1], above[x]
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda near: abs(guess - near))
            base = (0, left, up, (left + up) // 2, paeth)[line[0]]
            row[x + 1] = (byte + base) % 256
        plane[y] = row[1:]
        above = row


def planes(draw: Draw) -> Arguments:
    shape, random = draw(st.tuples(sides, sides)), draw(numbers)
    names = ("red", "green", "blue", "grey")
    return {name: random.integers(0, 256, shape).astype(np.uint8) for name in names}


def add_luma(red: Any, green: Any, blue: Any, grey: Any) -> None:
    for plane in (red, green, blue):
        need_array(plane, (np.uint8,), 2)
        need(plane.shape == np.shape(grey))
    need_array(grey, (np.uint8,), 2, written=True)
    luma = red * np.uint32(19595) + green * np.uint32(38470) + blue * np.uint32(7471)
    grey[:] = (luma + 0x8000) >> 16


ENTRIES: list[tuple[Any, Callable[[Draw], Arguments], Callable[..., Any]]] = [
    (_pixel_sums.add_integers, integer_sums, add_integers),
    (_pixel_sums.add_reals, real_sums, add_reals),
    (_pixel_sums.add_to_pairs, pair_sums, add_to_pairs),
    (_pixel_sums.nearest_deviations, integer_totals, nearest_deviations),
    (_pixel_sums.add_by_kahan, kahan_sums, add_by_kahan),
    (_pixel_sums.add_squares_by_kahan, kahan_squares, add_squares_by_kahan),
    (_pixel_sums.first_not_finite, reals, first_not_finite),
    (_resize.weighted, resizing, weighted),
    (_rows.first_bad_filter, filter_bytes, first_bad_filter),
    (_rows.channels_are_equal, coloured_rows, channels_are_equal),
    (_rows.undo_filters, filtered_rows, undo_filters),
    (_rows.add_luma, planes, add_luma),
]


def copied(value: Any) -> Any:
    """Return a copy of an array, of the same layout, and anything else as it is."""
    if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
        return value
    copy = value.copy()
    copy.flags.writeable = value.flags.writeable
    return copy


def compare(entry: Any, written: Any, expected: Any) -> None:
    """Check an array after a call."""
    known = ~np.isnan(expected.astype(np.float64))
    if entry is _pixel_sums.nearest_deviations:
        known &= written != -1  # too close to call
    # A level on the edge between two bytes may be rounded either way.
    tolerance = 1 if entry is _resize.weighted and written.dtype == np.uint8 else 0
    np.testing.assert_allclose(written[known], expected[known], rtol=1e-5, atol=tolerance)


def check(
    entry: Any, make: Callable[[Draw], Arguments], expect: Callable[..., Any], count: int
) -> None:
    """Call an entry with drawn arguments, and compare it with what NumPy does."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def right_or_refused(data: st.DataObject) -> None:
        arguments = make(data.draw)
        for name in data.draw(st.lists(st.sampled_from(list(arguments)), max_size=2, unique=True)):
            arguments[name] = spoilt(data.draw, arguments[name])
        expected_arguments = {name: copied(value) for name, value in arguments.items()}
        try:
            expected = expect(**expected_arguments)
        except DoesNotFit:
            try:
                entry(*arguments.values())
            except (ValueError, TypeError, OverflowError):
                return
            raise AssertionError(f"accepted {arguments}") from None
        assert entry(*arguments.values()) == expected
        for name, value in arguments.items():
            if isinstance(value, np.ndarray):
                compare(entry, value, expected_arguments[name])

    right_or_refused()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="calls of each entry")
    count = parser.parse_args().count
    faulthandler.enable()
    for entry, make, expect in ENTRIES:
        print(expect.__name__, flush=True)  # the last one that is named is the one that crashed
        check(entry, make, expect, count)


if __name__ == "__main__":
    main()
