"""Fast and strict PNG reader for the formats common in radiograph data sets.

The whole file is validated: each chunk's length and CRC, the checksum of the image data, every row,
and that nothing follows the IEND chunk (PNG specification, third edition, 2025). Non-interlaced
8-bit greyscale and truecolour, with or without alpha, and 16-bit greyscale are decoded here. Other
formats pass the same checks and are then decoded by Pillow.
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

# By colour type: greyscale, truecolour, palette, greyscale with alpha, truecolour with alpha.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# The seven passes of Adam7 interlacing: first row and column, row step and column step.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
_DEFLATE_MAX_RATIO = 1032  # maximum compression factor (zlib's technical notes)


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
        """Return the number of rows, and of bytes per row with its filter byte, of each pass."""
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
    """Return a PNG file's pixels as a greyscale image, or None if Pillow must decode the file.

    Colour is converted to grey with Pillow's weights, and alpha is dropped.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_pixels : int
        Maximum number of pixels. Larger images are rejected before memory is allocated.

    Returns
    -------
    ndarray of shape (H, W), uint8 or uint16, or None

    Raises
    ------
    PngError
        The file is damaged, truncated or too large, or has data after its end.
    """
    fields, data, data_at, is_plain = extensions.chunks.parse(content)
    header = _Header(*fields)
    if header.width * header.height > max_pixels:
        raise PngError(
            16, f"has {header.width} x {header.height} pixels; the limit is {max_pixels:,} pixels"
        )
    passes = header.passes()
    size = sum(count * row_bytes for count, row_bytes in passes)
    if size > _DEFLATE_MAX_RATIO * len(data):
        raise PngError(data_at, f"{len(data)} bytes can't inflate to {size} bytes of image data")
    try:
        rows = inflate(data, size)
    except InflateError:
        raise PngError(data_at, "the image data is corrupt or too long") from None
    if len(rows) != size:
        raise PngError(data_at, f"not enough image data: {len(rows)} of {size} bytes")
    # If other bytes follow the zlib stream, the last four aren't its Adler-32 checksum.
    if data[-4:] != struct.pack(">I", adler32(rows)):
        raise PngError(data_at, "extra bytes after the compressed image data")
    start = 0
    for count, row_bytes in passes:
        bad_row = extensions.rows.first_bad_filter(rows, start, count, row_bytes)
        if bad_row >= 0:
            raise PngError(data_at, f"row {bad_row} has an unknown filter type")
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
