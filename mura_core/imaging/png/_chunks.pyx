# cython: language_level=3
"""Parse and validate the chunks of a PNG file. Python callers use `mura_core.imaging.png.reader`."""

from libc.stdint cimport uint8_t, uint32_t

from mura_core.errors import PngError
from mura_core.imaging.png.inflate import crc32
from mura_core.imaging.png.pure_chunks import KINDS, ORIENTATION_KEYWORDS, SAY_MORE, SIGNATURE

cdef enum:
    IHDR = 0x49484452
    IDAT = 0x49444154
    IEND = 0x49454E44
    PLTE = 0x504C5445
    PALETTE = 3  # a colour type


cdef uint32_t big_endian(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef bint is_name(const uint8_t *at) noexcept nogil:
    """Return whether a chunk type is four letters, the third upper-case (section 5.4)."""
    cdef int i
    for i in range(4):
        if not b"a"[0] <= at[i] | 0x20 <= b"z"[0]:
            return False
    return not at[2] & 0x20


def parse(bytes content not None):
    """Return a PNG file's header and compressed image data.

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
    cdef const uint8_t *file = content
    cdef Py_ssize_t size = len(content), offset = 8, end, length, data_at = 0, data_end = 0
    cdef uint32_t kind = 0
    view = memoryview(content)
    cdef bint is_plain = True, has_palette = False
    header = None
    parts = []
    if not content.startswith(SIGNATURE):
        raise PngError(0, "invalid PNG signature")
    while kind != IEND:
        if size - offset < 12:
            raise PngError(offset, "the file ends before the IEND chunk")
        if not is_name(file + offset + 4):
            name = content[offset + 4 : offset + 8].decode("latin-1")
            raise PngError(offset, f"invalid chunk type {name!r}")
        kind = big_endian(file + offset + 4)
        end = offset + 12 + <Py_ssize_t>big_endian(file + offset)
        if end > size:
            raise PngError(offset, f"the file ends within a chunk of {end - offset - 12} bytes")
        if crc32(view[offset + 4 : end - 4]) != big_endian(file + end - 4):
            name = content[offset + 4 : offset + 8].decode("latin-1")
            raise PngError(offset, f"CRC mismatch in chunk {name!r}")
        if (kind == IHDR) != (header is None):
            raise PngError(offset, "IHDR must be the first chunk and must not be repeated")
        if header is None:
            header = _header(file + offset + 8, end - offset - 12, offset)
        elif kind == IDAT:
            if parts and data_end != offset:
                raise PngError(offset, "IDAT chunks must be consecutive")
            if header[3] == PALETTE and not has_palette:
                raise PngError(offset, "no PLTE chunk before the first IDAT chunk")
            if not parts:
                data_at = offset
            parts.append(view[offset + 8 : end - 4])
            data_end = end
        elif kind == PLTE:
            length = end - offset - 12
            if has_palette or parts or length == 0 or length > 768 or length % 3:
                raise PngError(offset, "PLTE chunk is invalid or out of order")
            has_palette = True
            is_plain = False
        elif kind != IEND:
            name = content[offset + 4 : offset + 8]
            if name in SAY_MORE or content[offset + 8 : end - 4].startswith(
                ORIENTATION_KEYWORDS
            ):
                is_plain = False
            elif not file[offset + 4] & 0x20:
                raise PngError(offset, f"unknown critical chunk {name.decode('latin-1')!r}")
        offset = end
    if offset != size:
        raise PngError(offset, f"{size - offset} bytes after the IEND chunk")
    if not parts:
        raise PngError(offset, "no IDAT chunk")
    return header, parts[0] if len(parts) == 1 else b"".join(parts), data_at, is_plain


cdef object _header(const uint8_t *body, Py_ssize_t length, Py_ssize_t offset):
    cdef uint32_t width, height
    if length != 13:
        raise PngError(offset, f"IHDR chunk has {length} bytes, expected 13")
    width, height = big_endian(body), big_endian(body + 4)
    if not (0 < width < 1u << 31 and 0 < height < 1u << 31):
        raise PngError(offset, f"invalid image size of {width} x {height} pixels")
    if (body[8], body[9]) not in KINDS:
        raise PngError(offset, f"bit depth {body[8]} is not allowed for colour type {body[9]}")
    if body[10] or body[11] or body[12] > 1:
        raise PngError(offset, "unknown compression, filter or interlace method")
    return width, height, body[8], body[9], body[12]
