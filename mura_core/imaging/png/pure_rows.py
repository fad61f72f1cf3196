"""Decode filtered PNG rows to planes of pixels in NumPy, for use if `_rows` isn't compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mura_core.imaging.png.inflate import Buffer

Plane = NDArray[np.uint8]


def first_bad_filter(rows: Buffer, start: int, count: int, row_bytes: int) -> int:
    """Return the first of `count` rows, starting at byte `start`, with an unknown filter, or -1."""
    held = np.frombuffer(rows, np.uint8)[start : start + count * row_bytes]
    bad = np.flatnonzero(held[::row_bytes] > 4)
    return int(bad[0]) if len(bad) else -1


def channels_are_equal(
    rows: Buffer, height: int, width: int, pixel_bytes: int, instructions: int
) -> bool:
    """Return whether the first three filtered bytes of every pixel of 3 or 4 bytes are equal."""
    _, pixels = _filters_and_pixels(rows, height, width, pixel_bytes)
    first = pixels[..., 0]
    return bool((first == pixels[..., 1]).all() and (first == pixels[..., 2]).all())


def undo_filters(
    rows: Buffer, pixel_bytes: int, channel: int, plane: Plane, instructions: int
) -> None:
    """Decode one byte of each pixel to `plane` (height, width); a pixel has 1 to 8 bytes.

    Filters only combine bytes at the same place of a pixel (PNG specification, section 9).
    """
    height, width = plane.shape
    filters, pixels = _filters_and_pixels(rows, height, width, pixel_bytes)
    above = np.zeros(plane.shape[1], np.uint8)
    for kind, filtered, row in zip(filters.tolist(), pixels[..., channel], plane, strict=True):
        if kind == 0:
            row[:] = filtered
        elif kind == 1:
            np.add.accumulate(filtered, dtype=np.uint8, out=row)
        elif kind == 2:
            np.add(filtered, above, out=row)
        else:
            undo = _undo_average if kind == 3 else _undo_paeth
            row[:] = bytearray(undo(filtered.tolist(), above.tolist()))
        above = row


def _filters_and_pixels(
    rows: Buffer, height: int, width: int, pixel_bytes: int
) -> tuple[Plane, NDArray[np.uint8]]:
    held = np.frombuffer(rows, np.uint8).reshape(height, 1 + width * pixel_bytes)
    return held[:, 0], held[:, 1:].reshape(height, width, pixel_bytes)


def _undo_average(filtered: list[int], above: list[int]) -> list[int]:
    left, row = 0, []
    for byte, up in zip(filtered, above, strict=True):
        left = (byte + (left + up) // 2) & 0xFF
        row.append(left)
    return row


def _undo_paeth(filtered: list[int], above: list[int]) -> list[int]:
    left = corner = 0
    row = []
    for byte, up in zip(filtered, above, strict=True):
        to_left, to_up, to_corner = (
            abs(up - corner),
            abs(left - corner),
            abs(left + up - 2 * corner),
        )
        if to_left <= to_up and to_left <= to_corner:
            nearest = left
        else:
            nearest = up if to_up <= to_corner else corner
        left, corner = (byte + nearest) & 0xFF, up
        row.append(left)
    return row


def add_luma(red: Plane, green: Plane, blue: Plane, grey: Plane) -> None:
    """Write the luma of red, green and blue planes to `grey` (Rec. 601, rounded as in Pillow)."""
    weighted = red * np.uint32(19595) + green * np.uint32(38470) + blue * np.uint32(7471)
    grey[:] = (weighted + np.uint32(0x8000)) >> np.uint32(16)
