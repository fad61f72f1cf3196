# cython: language_level=3
"""The byte work of reading PNG files: rows of filtered bytes become planes of pixels.

`mura_core.imaging.png.reader`, the only caller, has checked that `rows` holds `height` rows, each a filter byte
followed by `width * pixel_bytes` bytes. `instructions` is one of `mura_core.imaging.cpu`.
"""

from libc.stdint cimport uint8_t

cdef extern from "_unfilter.h" nogil:
    int channels_are_equal_c "channels_are_equal"(
        const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes, int instructions
    )
    int undo_filters_c "undo_filters"(
        const uint8_t *rows, size_t height, size_t width, size_t pixel_bytes, size_t channel,
        uint8_t *plane, int instructions
    )


def first_bad_filter(
    const uint8_t[::1] rows, Py_ssize_t start, Py_ssize_t count, Py_ssize_t row_bytes
):
    """Return the first of `count` rows, from byte `start` on, whose filter isn't 0 to 4, or -1."""
    cdef Py_ssize_t y, found = -1
    with nogil:
        for y in range(count):
            if rows[start + y * row_bytes] > 4:
                found = y
                break
    return found


def channels_are_equal(
    const uint8_t[::1] rows,
    Py_ssize_t height,
    Py_ssize_t width,
    Py_ssize_t pixel_bytes,
    int instructions,
):
    """Return whether the first three bytes of every pixel are the same, as they lie."""
    cdef bint equal
    with nogil:
        equal = channels_are_equal_c(&rows[0], height, width, pixel_bytes, instructions)
    return equal


def undo_filters(
    const uint8_t[::1] rows,
    Py_ssize_t pixel_bytes,
    Py_ssize_t channel,
    uint8_t[:, ::1] plane,
    int instructions,
):
    """Write one channel's pixels to `plane`; the filter bytes have been checked."""
    cdef Py_ssize_t height = plane.shape[0], width = plane.shape[1]
    cdef int failed
    with nogil:
        failed = undo_filters_c(
            &rows[0], height, width, pixel_bytes, channel, &plane[0, 0], instructions
        )
    if failed:
        raise MemoryError


def add_luma(
    const uint8_t[:, ::1] red,
    const uint8_t[:, ::1] green,
    const uint8_t[:, ::1] blue,
    uint8_t[:, ::1] grey,
):
    """Write the luma of red, green and blue planes to `grey`.

    Rec. 601 in 16 bits of fraction, rounded: the weights that Pillow uses.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t count = grey.shape[0] * grey.shape[1]
    cdef const uint8_t *r = &red[0, 0]
    cdef const uint8_t *g = &green[0, 0]
    cdef const uint8_t *b = &blue[0, 0]
    cdef uint8_t *out = &grey[0, 0]
    with nogil:
        for i in range(count):
            out[i] = <uint8_t>((r[i] * 19595u + g[i] * 38470u + b[i] * 7471u + 0x8000u) >> 16)
