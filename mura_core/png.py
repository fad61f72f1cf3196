"""PNG files of the kinds that radiograph folders are made of, read strictly and fast.

8-bit grey, colour and opacity, and 16-bit grey, not interlaced (PNG specification, third edition,
2025). Whatever else there is of PNG is left to Pillow. A file must be whole to its last byte: each
chunk's length and checksum, the pixels' checksum, every row, and nothing behind the end.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mura_core import _png_rows
from mura_core._png_chunks import parse
from mura_core.errors import PngError
from mura_core.inflate import Buffer, InflateError, adler32, inflate
from mura_core.instructions import instructions

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, colour, each with opacity
_DEFLATE_MAX_RATIO = 1032  # of what deflate makes of what it was given (zlib's technical notes)


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int

    @property
    def bytes_a_pixel(self) -> int:
        return _CHANNELS[self.colour_type] * self.depth // 8


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
    parsed = parse(content)
    if parsed is None:
        return None
    fields, data, data_at = parsed
    header = _Header(*fields)
    if header.width * header.height > max_pixels:
        raise PngError(
            16, f"claims {header.width} x {header.height} pixels; at most {max_pixels:,} are read"
        )
    row_bytes = 1 + header.width * header.bytes_a_pixel
    size = row_bytes * header.height
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
    bad_row = _png_rows.first_bad_filter(rows, header.height, row_bytes)
    if bad_row >= 0:
        raise PngError(data_at, f"row {bad_row} has a filter that doesn't exist")
    return _grey(rows, header)


def _grey(rows: Buffer, header: _Header) -> NDArray[np.uint8] | NDArray[np.uint16]:
    shape = (header.height, header.width)
    pixel_bytes, best = header.bytes_a_pixel, instructions()

    def plane(channel: int) -> NDArray[np.uint8]:
        undone = np.empty(shape, np.uint8)
        _png_rows.undo_filters(rows, pixel_bytes, channel, undone, best)
        return undone

    if header.depth == 16:
        return plane(0).astype(np.uint16) << np.uint16(8) | plane(1)
    is_colour = header.colour_type in (2, 6)
    if not is_colour or _png_rows.channels_are_equal(rows, *shape, pixel_bytes, best):
        return plane(0)
    grey = np.empty(shape, np.uint8)
    _png_rows.add_luma(plane(0), plane(1), plane(2), grey)
    return grey
