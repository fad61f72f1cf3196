# cython: language_level=3
"""A PNG file's chunks, each checked: what `mura_core.imaging.png.reader` makes an image of."""

from libc.stdint cimport uint8_t, uint32_t

from mura_core.errors import PngError
from mura_core.imaging.png.inflate import crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Depths and colour types (section 11.2.1 of the specification).
_KINDS = frozenset(
    [(depth, 0) for depth in (1, 2, 4, 8, 16)]
    + [(depth, PALETTE) for depth in (1, 2, 4, 8)]
    + [(depth, colour_type) for depth in (8, 16) for colour_type in (2, 4, 6)]
)
# Orientation may stand in any of these; an animation holds several images.
_SAY_MORE = (b"eXIf", b"acTL")
_ORIENTATION_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")

cdef enum:
    IHDR = 0x49484452
    IDAT = 0x49444154
    IEND = 0x49454E44
    PLTE = 0x504C5445
    PALETTE = 3  # a colour type


cdef uint32_t big_endian(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef bint is_name(const uint8_t *at) noexcept nogil:
    """Four letters, the third a capital (section 5.4 of the specification)."""
    cdef int i
    for i in range(4):
        if not b"a"[0] <= at[i] | 0x20 <= b"z"[0]:
            return False
    return not at[2] & 0x20


def parse(bytes content not None):
    """Return a file's header, its compressed pixels, where they begin, and whether that is all.

    Returns
    -------
    header : tuple
        Width, height, depth, colour type and whether it is interlaced.
    data : bytes or memoryview
    data_at : int
    is_plain : bool
        No chunk says more about the image, such as its palette or orientation.

    Raises
    ------
    PngError
        A chunk is damaged, missing, or where it mustn't be.
    """
    cdef const uint8_t *file = content
    cdef Py_ssize_t size = len(content), offset = 8, end, length, data_at = 0, data_end = 0
    cdef uint32_t kind = 0
    view = memoryview(content)
    cdef bint is_plain = True, has_palette = False
    header = None
    parts = []
    if not content.startswith(SIGNATURE):
        raise PngError(0, "this is no PNG file, or its first bytes are damaged")
    while kind != IEND:
        if size - offset < 12:
            raise PngError(offset, "the file ends before the image does")
        if not is_name(file + offset + 4):
            name = content[offset + 4 : offset + 8].decode("latin-1")
            raise PngError(offset, f"a chunk can't be named {name!r}")
        kind = big_endian(file + offset + 4)
        end = offset + 12 + <Py_ssize_t>big_endian(file + offset)
        if end > size:
            raise PngError(offset, f"the file ends within a chunk of {end - offset - 12} bytes")
        if crc32(view[offset + 4 : end - 4]) != big_endian(file + end - 4):
            name = content[offset + 4 : offset + 8].decode("latin-1")
            raise PngError(offset, f"wrong checksum of the chunk {name!r}")
        if (kind == IHDR) != (header is None):
            raise PngError(offset, "the header must come first, and once")
        if header is None:
            header = _header(file + offset + 8, end - offset - 12, offset)
        elif kind == IDAT:
            if parts and data_end != offset:
                raise PngError(offset, "the pixels are torn apart by another chunk")
            if header[3] == PALETTE and not has_palette:
                raise PngError(offset, "there is no palette before the pixels")
            if not parts:
                data_at = offset
            parts.append(view[offset + 8 : end - 4])
            data_end = end
        elif kind == PLTE:
            length = end - offset - 12
            if has_palette or parts or length == 0 or length > 768 or length % 3:
                raise PngError(offset, "the palette is damaged or out of place")
            has_palette = True
            is_plain = False
        elif kind != IEND:
            name = content[offset + 4 : offset + 8]
            if name in _SAY_MORE or content[offset + 8 : end - 4].startswith(
                _ORIENTATION_KEYWORDS
            ):
                is_plain = False
            elif not file[offset + 4] & 0x20:
                raise PngError(offset, f"unknown chunk {name.decode('latin-1')!r}")
        offset = end
    if offset != size:
        raise PngError(offset, f"{size - offset} bytes follow the end of the image")
    if not parts:
        raise PngError(offset, "there are no pixels")
    return header, parts[0] if len(parts) == 1 else b"".join(parts), data_at, is_plain


cdef object _header(const uint8_t *body, Py_ssize_t length, Py_ssize_t offset):
    cdef uint32_t width, height
    if length != 13:
        raise PngError(offset, f"the header has {length} bytes, not 13")
    width, height = big_endian(body), big_endian(body + 4)
    if not (0 < width < 1u << 31 and 0 < height < 1u << 31):
        raise PngError(offset, f"a size of {width} x {height} pixels")
    if (body[8], body[9]) not in _KINDS:
        raise PngError(offset, f"{body[8]} bits of colour type {body[9]} don't exist")
    if body[10] or body[11] or body[12] > 1:
        raise PngError(offset, "a compression, filter or interlace method that doesn't exist")
    return width, height, body[8], body[9], body[12]
