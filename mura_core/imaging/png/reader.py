"""PNG files of the kinds that radiograph folders are made of, read strictly and fast.

A file must be whole to its last byte: each chunk's length and checksum, the pixels' checksum, every
row, and nothing behind the end (PNG specification, third edition, 2025). 8-bit grey, colour and
opacity, and 16-bit grey, not interlaced, are decoded here; of other kinds Pillow makes an image,
once they have passed the same checks.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import PngError
from mura_core.imaging.cpu import instructions
from mura_core.imaging.png import extensions
from mura_core.imaging.png.inflate import Buffer, InflateError, adler32, inflate

# By colour type: grey, colour, palette, and the first two with opacity.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Interlacing's seven passes: the first row and column, and the steps to the next.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
_DEFLATE_MAX_RATIO = 1032  # of what deflate makes of what it was given (zlib's technical notes)


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: int

    @property
    def is_ours(self) -> bool:
        is_grey_16 = self.depth == 16 and self.colour_type == 0
        return not self.interlaced and (is_grey_16 or (self.depth == 8 and self.colour_type != 3))

    @property
    def bits_a_pixel(self) -> int:
        return _CHANNELS[self.colour_type] * self.depth

    def passes(self) -> list[tuple[int, int]]:
        """Return each pass's rows, and the bytes of one with its filter."""
        sizes = [(self.height, self.width)]
        if self.interlaced:
            sizes = [
                (-((row - self.height) // down), -((column - self.width) // across))
                for row, column, down, across in _PASSES
            ]
        bits = self.bits_a_pixel
        return [
            (rows, 1 + (columns * bits + 7) // 8) for rows, columns in sizes if rows and columns
        ]


def read_png(content: bytes, max_pixels: int) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    """Return a PNG file's pixels in grey, or None where the file is of a kind left to Pillow.

    Colour becomes grey by Pillow's weights; opacity is dropped.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_pixels : int
        What claims more is refused before memory is taken for it.

    Returns
    -------
    ndarray of shape (H, W), uint8 or uint16

    Raises
    ------
    PngError
        The file is damaged, truncated, too large, or goes on behind its end.
    """
    fields, data, data_at, is_plain = extensions.chunks.parse(content)
    header = _Header(*fields)
    if header.width * header.height > max_pixels:
        raise PngError(
            16, f"claims {header.width} x {header.height} pixels; at most {max_pixels:,} are read"
        )
    passes = header.passes()
    size = sum(count * row_bytes for count, row_bytes in passes)
    if size > _DEFLATE_MAX_RATIO * len(data):
        raise PngError(data_at, f"{len(data)} bytes can't hold {size} bytes of pixels")
    try:
        rows = inflate(data, size)
    except InflateError:
        raise PngError(data_at, "the compressed pixels are damaged or too many") from None
    if len(rows) != size:
        raise PngError(data_at, f"rows are missing: {len(rows)} bytes of {size}")
    # Whatever follows the stream has pushed its checksum from the end.
    if data[-4:] != struct.pack(">I", adler32(rows)):
        raise PngError(data_at, "data follows the compressed pixels")
    start = 0
    for count, row_bytes in passes:
        bad_row = extensions.rows.first_bad_filter(rows, start, count, row_bytes)
        if bad_row >= 0:
            raise PngError(data_at, f"row {bad_row} has a filter that doesn't exist")
        start += count * row_bytes
    return _grey(rows, header) if header.is_ours and is_plain else None


def _grey(rows: Buffer, header: _Header) -> NDArray[np.uint8] | NDArray[np.uint16]:
    shape = (header.height, header.width)
    pixel_bytes, best = header.bits_a_pixel // 8, instructions()

    def plane(channel: int) -> NDArray[np.uint8]:
        undone = np.empty(shape, np.uint8)
        extensions.rows.undo_filters(rows, pixel_bytes, channel, undone, best)
        return undone

    if header.depth == 16:
        return plane(0).astype(np.uint16) << np.uint16(8) | plane(1)
    is_colour = header.colour_type in (2, 6)
    if not is_colour or extensions.rows.channels_are_equal(rows, *shape, pixel_bytes, best):
        return plane(0)
    grey = np.empty(shape, np.uint8)
    extensions.rows.add_luma(plane(0), plane(1), plane(2), grey)
    return grey
