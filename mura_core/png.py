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
from mura_core.inflate import Buffer, InflateError, adler32, crc32, inflate
from mura_core.instructions import instructions

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, colour, each with opacity
_DEFLATE_MAX_RATIO = 1032  # of what deflate makes of what it was given (zlib's technical notes)
# Orientation may stand in any of these; an animation holds several images.
_NOT_FOR_US = (b"eXIf", b"acTL", b"PLTE")
_ORIENTATION_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")


class PngError(ValueError):
    """A PNG file isn't whole.

    Parameters
    ----------
    offset : int
        The byte at which it was noticed.
    reason : str
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: int

    @property
    def is_ours(self) -> bool:
        kinds = {(8, 0), (8, 2), (8, 4), (8, 6), (16, 0)}
        return (self.depth, self.colour_type) in kinds and not self.interlaced

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
    header, data, data_at = _parse(content)
    if header is None:
        return None
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

    def planes(count: int) -> NDArray[np.uint8]:
        undone = np.empty((count, *shape), np.uint8)
        for channel in range(count):
            _png_rows.undo_filters(rows, pixel_bytes, channel, undone[channel], best)
        return undone

    if header.depth == 16:
        high, low = planes(2)
        return high.astype(np.uint16) << 8 | low
    is_colour = header.colour_type in (2, 6)
    if not is_colour or _png_rows.channels_are_equal(rows, *shape, pixel_bytes, best):
        return planes(1)[0]
    grey = np.empty(shape, np.uint8)
    _png_rows.add_luma(planes(3), grey)
    return grey


def _parse(content: bytes) -> tuple[_Header | None, Buffer, int]:
    """Return the header, the compressed pixels and where they begin; no header if not for us."""
    view = memoryview(content)
    header: _Header | None = None
    parts: list[memoryview] = []
    data_at = data_end = 0
    if not content.startswith(SIGNATURE):
        raise PngError(0, "this is no PNG file, or its first bytes are damaged")
    offset = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if len(content) - offset < 12:
            raise PngError(offset, "the file ends before the image does")
        length, kind = struct.unpack_from(">I4s", content, offset)
        # Four letters, the third a capital (section 5.4 of the specification).
        if not kind.isalpha() or kind[2] & 0x20:
            raise PngError(offset, f"a chunk can't be named {kind.decode('latin-1')!r}")
        end = offset + 12 + length
        if end > len(content):
            raise PngError(offset, f"the file ends within a chunk of {length} bytes")
        body = view[offset + 8 : end - 4]
        if crc32(view[offset + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise PngError(offset, f"wrong checksum of the chunk {kind.decode('latin-1')!r}")
        if (kind == b"IHDR") != (header is None):
            raise PngError(offset, "the header must come first, and once")
        if header is None:
            header = _header(body, offset)
            if not header.is_ours:
                return None, b"", 0
        elif kind == b"IDAT":
            if parts and data_end != offset:
                raise PngError(offset, "the pixels are torn apart by another chunk")
            data_at = data_at or offset
            parts.append(body)
            data_end = end
        elif kind in _NOT_FOR_US or bytes(body[:32]).startswith(_ORIENTATION_KEYWORDS):
            return None, b"", 0
        elif kind != b"IEND" and not kind[0] & 0x20:
            raise PngError(offset, f"unknown chunk {kind.decode('latin-1')!r}")
        offset = end
    if offset != len(content):
        raise PngError(offset, f"{len(content) - offset} bytes follow the end of the image")
    if not parts:
        raise PngError(offset, "there are no pixels")
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return header, data, data_at


def _header(body: memoryview, offset: int) -> _Header:
    if len(body) != 13:
        raise PngError(offset, f"the header has {len(body)} bytes, not 13")
    width, height, depth, colour_type, compression, filtering, interlaced = struct.unpack(
        ">IIBBBBB", body
    )
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise PngError(offset, f"a size of {width} x {height} pixels")
    if compression or filtering or interlaced > 1:
        raise PngError(offset, "a compression, filter or interlace method that doesn't exist")
    return _Header(width, height, depth, colour_type, interlaced)
