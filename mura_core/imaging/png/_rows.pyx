# cython: language_level=3
"""Decode the filtered rows of a PNG file to planes of pixels.

Each row in `rows` is a filter type byte followed by `width * pixel_bytes` bytes; `instructions` is a
number from `mura_core.imaging.cpu`. The extension is compiled without bounds checks, so each function
checks its arguments first and raises ValueError.
"""

from libc.stdint cimport uint8_t

from mura_core.imaging._processor cimport refuse_unknown_instructions

cdef extern from "_unfilter.h" nogil:
    int channels_are_equal_c "channels_are_equal"(
        const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes, int instructions
    )
    int undo_filters_c "undo_filters"(
        const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes, size_t channel,
        uint8_t *plane, int instructions
    )


cdef int refuse_other_size(
    Py_ssize_t held, Py_ssize_t height, Py_ssize_t width, Py_ssize_t pixel_bytes
) except -1:
    """Raise ValueError unless the buffer is `height` rows of `width` pixels."""
    # By division: the product could overflow.
    if (
        height < 1
        or width < 1
        or held % height
        or (held // height - 1) % pixel_bytes
        or (held // height - 1) // pixel_bytes != width
    ):
        raise ValueError(
            f"{held} bytes are not {height} rows of a filter type and {width} pixels of"
            f" {pixel_bytes} bytes"
        )
    return 0


cdef Py_ssize_t find_bad_filter(
    const uint8_t *rows, Py_ssize_t count, Py_ssize_t row_bytes
) noexcept nogil:
    cdef Py_ssize_t y
    for y in range(count):
        if rows[y * row_bytes] > 4:
            return y
    return -1


def first_bad_filter(
    const uint8_t[::1] rows not None, Py_ssize_t start, Py_ssize_t count, Py_ssize_t row_bytes
):
    """Return the first of `count` rows, starting at byte `start`, with an unknown filter, or -1."""
    if (
        start < 0
        or count < 0
        or row_bytes < 1
        or start > rows.shape[0]
        or (rows.shape[0] - start) // row_bytes < count
    ):
        raise ValueError(
            f"{count} rows of {row_bytes} bytes starting at byte {start} are not within"
            f" {rows.shape[0]} bytes"
        )
    return find_bad_filter(&rows[0] + start, count, row_bytes)


def channels_are_equal(
    const uint8_t[::1] rows not None,
    Py_ssize_t height,
    Py_ssize_t width,
    Py_ssize_t pixel_bytes,
    int instructions,
):
    """Return whether the first three filtered bytes of every pixel of 3 or 4 bytes are equal."""
    cdef bint equal
    if pixel_bytes not in (3, 4):
        raise ValueError(f"pixel_bytes must be 3 or 4, got {pixel_bytes}")
    refuse_other_size(rows.shape[0], height, width, pixel_bytes)
    refuse_unknown_instructions(instructions)
    with nogil:
        equal = channels_are_equal_c(&rows[0], height, width, pixel_bytes, instructions)
    return equal


def undo_filters(
    const uint8_t[::1] rows not None,
    Py_ssize_t pixel_bytes,
    Py_ssize_t channel,
    uint8_t[:, ::1] plane not None,
    int instructions,
):
    """Decode one byte of each pixel to `plane` (height, width); a pixel has 1 to 8 bytes."""
    cdef Py_ssize_t height = plane.shape[0], width = plane.shape[1]
    cdef int failed
    if not 1 <= pixel_bytes <= 8 or not 0 <= channel < pixel_bytes:
        raise ValueError(f"pixels of {pixel_bytes} bytes have no byte {channel}")
    refuse_other_size(rows.shape[0], height, width, pixel_bytes)
    refuse_unknown_instructions(instructions)
    if find_bad_filter(&rows[0], height, 1 + width * pixel_bytes) >= 0:
        raise ValueError("a row has an unknown filter type")
    with nogil:
        failed = undo_filters_c(
            &rows[0], height, width, pixel_bytes, channel, &plane[0, 0], instructions
        )
    if failed:
        raise MemoryError


cdef int refuse_other_shape(str name, const uint8_t[:, ::1] plane, uint8_t[:, ::1] grey) except -1:
    if plane.shape[0] != grey.shape[0] or plane.shape[1] != grey.shape[1]:
        raise ValueError(
            f"{name}: expected shape ({grey.shape[0]}, {grey.shape[1]}), got"
            f" ({plane.shape[0]}, {plane.shape[1]})"
        )
    return 0


def add_luma(
    const uint8_t[:, ::1] red not None,
    const uint8_t[:, ::1] green not None,
    const uint8_t[:, ::1] blue not None,
    uint8_t[:, ::1] grey not None,
):
    """Write the luma of red, green and blue planes to `grey`.

    Rec. 601 with Pillow's weights, in fixed point with 16 fractional bits, rounded.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t count = grey.shape[0] * grey.shape[1]
    refuse_other_shape("red", red, grey)
    refuse_other_shape("green", green, grey)
    refuse_other_shape("blue", blue, grey)
    if count == 0:
        return
    cdef const uint8_t *r = &red[0, 0]
    cdef const uint8_t *g = &green[0, 0]
    cdef const uint8_t *b = &blue[0, 0]
    cdef uint8_t *out = &grey[0, 0]
    with nogil:
        for i in range(count):
            out[i] = <uint8_t>((r[i] * 19595u + g[i] * 38470u + b[i] * 7471u + 0x8000u) >> 16)
