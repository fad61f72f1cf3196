"""Parse and validate the chunks of a PNG file in Python, for use if `_chunks` isn't compiled."""

from __future__ import annotations

import struct

from mura_core.errors import PngError
from mura_core.imaging.png.inflate import Buffer, crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = 3  # a colour type
# Allowed bit depths and colour types (section 11.2.1 of the specification).
KINDS = frozenset(
    [(depth, 0) for depth in (1, 2, 4, 8, 16)]
    + [(depth, PALETTE) for depth in (1, 2, 4, 8)]
    + [(depth, colour_type) for depth in (8, 16) for colour_type in (2, 4, 6)]
)
# eXIf and the text keywords may contain the orientation; acTL marks an animation, and sBIT gives
# the original bit depth.
SAY_MORE = (b"eXIf", b"acTL", b"sBIT")
ORIENTATION_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")

Fields = tuple[int, int, int, int, int]


def parse(content: bytes) -> tuple[Fields, Buffer, int, bool]:
    """Return a PNG file's header and compressed image data.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    header : tuple of int
        Width, height, bit depth, colour type and interlace method.
    data : bytes or memoryview
        The concatenated contents of the IDAT chunks.
    data_at : int
        Byte offset of the first IDAT chunk.
    is_plain : bool
        Whether no other chunk affects the pixels, such as a palette, an orientation or a bit depth.

    Raises
    ------
    PngError
        A chunk is damaged, missing or out of order.
    """
    view, size, offset = memoryview(content), len(content), 8
    header: Fields | None = None
    parts: list[memoryview] = []
    data_at = data_end = 0
    is_plain, has_palette = True, False
    if not content.startswith(SIGNATURE):
        raise PngError(0, "invalid PNG signature")
    kind = b""
    while kind != b"IEND":
        if size - offset < 12:
            raise PngError(offset, "the file ends before the IEND chunk")
        kind = content[offset + 4 : offset + 8]
        name = repr(kind.decode("latin-1"))
        if not _is_name(kind):
            raise PngError(offset, f"invalid chunk type {name}")
        (length,) = struct.unpack_from(">I", content, offset)
        end = offset + 12 + length
        if end > size:
            raise PngError(offset, f"the file ends within a chunk of {length} bytes")
        body = view[offset + 8 : end - 4]
        if crc32(view[offset + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise PngError(offset, f"CRC mismatch in chunk {name}")
        if (kind == b"IHDR") != (header is None):
            raise PngError(offset, "IHDR must be the first chunk and must not be repeated")
        if header is None:
            header = _header(bytes(body), offset)
        elif kind == b"IDAT":
            if parts and data_end != offset:
                raise PngError(offset, "IDAT chunks must be consecutive")
            if header[3] == PALETTE and not has_palette:
                raise PngError(offset, "no PLTE chunk before the first IDAT chunk")
            data_at = data_at or offset
            parts.append(body)
            data_end = end
        elif kind == b"PLTE":
            if has_palette or parts or length == 0 or length > 768 or length % 3:
                raise PngError(offset, "PLTE chunk is invalid or out of order")
            has_palette, is_plain = True, False
        elif kind != b"IEND":
            if kind in SAY_MORE or bytes(body[:32]).startswith(ORIENTATION_KEYWORDS):
                is_plain = False
            elif not kind[0] & 0x20:
                raise PngError(offset, f"unknown critical chunk {name}")
        offset = end
    if offset != size:
        raise PngError(offset, f"{size - offset} bytes after the IEND chunk")
    if header is None or not parts:
        raise PngError(offset, "no IDAT chunk")
    return header, parts[0] if len(parts) == 1 else b"".join(parts), data_at, is_plain


def _is_name(kind: bytes) -> bool:
    """Return whether a chunk type is four letters, the third upper-case (section 5.4)."""
    return kind.isalpha() and kind.isascii() and kind[2:3].isupper()


def _header(body: bytes, offset: int) -> Fields:
    if len(body) != 13:
        raise PngError(offset, f"IHDR chunk has {len(body)} bytes, expected 13")
    width, height, depth, colour_type, *methods = struct.unpack(">IIBBBBB", body)
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise PngError(offset, f"invalid image size of {width} x {height} pixels")
    if (depth, colour_type) not in KINDS:
        raise PngError(offset, f"bit depth {depth} is not allowed for colour type {colour_type}")
    compression, filters, interlace = methods
    if compression or filters or interlace > 1:
        raise PngError(offset, "unknown compression, filter or interlace method")
    return width, height, depth, colour_type, interlace
