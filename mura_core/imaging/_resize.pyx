# cython: language_level=3
"""Weighted sums of pixels, down and then across. `mura_core.imaging.resizing` documents and checks it."""

from libc.stdint cimport uint8_t, uint16_t

ctypedef fused grey_pixel:
    uint8_t
    uint16_t

cdef extern from "_resize.h" nogil:
    struct weights:
        const Py_ssize_t *first
        const float *weights
        size_t count
        size_t taps

    int resize_uint8(
        const uint8_t *image, size_t height, size_t width, const weights *down,
        const weights *across, float *levels, uint8_t *rounded, int instructions
    )
    int resize_uint16(
        const uint16_t *image, size_t height, size_t width, const weights *down,
        const weights *across, float *levels, uint8_t *rounded, int instructions
    )

ctypedef fused new_pixel:
    uint8_t
    float


def weighted(
    const grey_pixel[:, ::1] image,
    const Py_ssize_t[::1] first_row,
    const float[:, ::1] row_weights,
    const Py_ssize_t[::1] first_column,
    const float[:, ::1] column_weights,
    new_pixel[:, ::1] out,
    int instructions,
):
    """Write to `out` the image's rows and columns, weighted, and rounded if it holds bytes.

    Row i is made of the rows from `first_row[i]` on, with `row_weights[i]`; columns likewise.
    Weights beyond the image are 0; levels are 0 to 255.
    """
    cdef weights down, across
    cdef int failed
    cdef float *levels = NULL
    cdef uint8_t *rounded = NULL
    if new_pixel is uint8_t:
        rounded = &out[0, 0]
    else:
        levels = &out[0, 0]
    down.first, down.weights = &first_row[0], &row_weights[0, 0]
    down.count, down.taps = row_weights.shape[0], row_weights.shape[1]
    across.first, across.weights = &first_column[0], &column_weights[0, 0]
    across.count, across.taps = column_weights.shape[0], column_weights.shape[1]
    with nogil:
        if grey_pixel is uint8_t:
            failed = resize_uint8(
                &image[0, 0], image.shape[0], image.shape[1], &down, &across, levels, rounded,
                instructions,
            )
        else:
            failed = resize_uint16(
                &image[0, 0], image.shape[0], image.shape[1], &down, &across, levels, rounded,
                instructions,
            )
    if failed:
        raise MemoryError
