# cython: language_level=3
"""The byte work of reading PNG files: rows of filtered bytes become planes of pixels.

`mura_core.png`, the only caller, has checked that `rows` holds `height` rows, each a filter byte
from 0 to 4 followed by `width * stride` bytes.
"""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "_unfilter.h" nogil:
    int unfilter_plane(
        const uint8_t *filters, uint8_t *plane, size_t height, size_t width, int use_vectors
    )


def first_bad_filter(const uint8_t[::1] rows, Py_ssize_t height, Py_ssize_t row_bytes):
    """Return the first row whose filter byte isn't 0 to 4, or -1."""
    cdef Py_ssize_t y, found = -1
    with nogil:
        for y in range(height):
            if rows[y * row_bytes] > 4:
                found = y
                break
    return found


def channels_are_equal(
    const uint8_t[::1] rows, Py_ssize_t height, Py_ssize_t width, Py_ssize_t stride
):
    """Return whether the first three bytes of every pixel are the same, as they lie.

    A filter treats each channel alike and by itself, so channels with equal filtered bytes are
    equal once the filters are undone: then one of them is the grey image.
    """
    cdef Py_ssize_t y, x
    cdef const uint8_t *pixel
    cdef uint32_t differ = 0
    with nogil:
        for y in range(height):
            pixel = &rows[y * (1 + width * stride) + 1]
            for x in range(width):
                differ |= (pixel[0] ^ pixel[1]) | (pixel[1] ^ pixel[2])
                pixel += stride
            if differ:
                break
    return differ == 0


def undo_filters(
    const uint8_t[::1] rows,
    Py_ssize_t stride,
    Py_ssize_t channel,
    uint8_t[:, ::1] plane,
    uint8_t[::1] filters,
    bint use_vectors=True,
):
    """Write one channel's pixels to `plane`; `filters` is scratch, a byte a row."""
    cdef Py_ssize_t height = plane.shape[0], width = plane.shape[1]
    cdef Py_ssize_t y, x
    cdef const uint8_t *row
    cdef uint8_t *out
    cdef int failed
    with nogil:
        for y in range(height):
            row = &rows[y * (1 + width * stride)]
            filters[y] = row[0]
            row += 1 + channel
            out = &plane[y, 0]
            for x in range(width):
                out[x] = row[x * stride]
        failed = unfilter_plane(&filters[0], &plane[0, 0], height, width, use_vectors)
    if failed:
        raise MemoryError


def add_luma(const uint8_t[:, :, ::1] planes, uint8_t[:, ::1] grey):
    """Write the luma of red, green and blue planes (3, H, W) to `grey`.

    Rec. 601 in 16 bits of fraction, rounded: the weights that Pillow uses.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t count = grey.shape[0] * grey.shape[1]
    cdef const uint8_t *red = &planes[0, 0, 0]
    cdef const uint8_t *green = &planes[1, 0, 0]
    cdef const uint8_t *blue = &planes[2, 0, 0]
    cdef uint8_t *out = &grey[0, 0]
    with nogil:
        for i in range(count):
            out[i] = <uint8_t>(
                (red[i] * 19595u + green[i] * 38470u + blue[i] * 7471u + 0x8000u) >> 16
            )
