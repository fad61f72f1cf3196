# cython: language_level=3
"""Weighted sums of pixels, down and then across. `mura_core.resizing` documents and checks it."""

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
        const weights *across, float *out, int instructions
    )
    int resize_uint16(
        const uint16_t *image, size_t height, size_t width, const weights *down,
        const weights *across, float *out, int instructions
    )
    void round_levels_c "round_levels"(
        const float *levels, size_t count, uint8_t *out, int instructions
    )


def weighted(
    const grey_pixel[:, ::1] image,
    const Py_ssize_t[::1] first_row,
    const float[:, ::1] row_weights,
    const Py_ssize_t[::1] first_column,
    const float[:, ::1] column_weights,
    float[:, ::1] out,
    int instructions,
):
    """Write to `out` the image's rows and columns, weighted.

    Row i is made of the rows from `first_row[i]` on, with `row_weights[i]`; columns likewise.
    Weights beyond the image are 0.
    """
    cdef weights down, across
    cdef int failed
    down.first, down.weights = &first_row[0], &row_weights[0, 0]
    down.count, down.taps = row_weights.shape[0], row_weights.shape[1]
    across.first, across.weights = &first_column[0], &column_weights[0, 0]
    across.count, across.taps = column_weights.shape[0], column_weights.shape[1]
    with nogil:
        if grey_pixel is uint8_t:
            failed = resize_uint8(
                &image[0, 0], image.shape[0], image.shape[1], &down, &across, &out[0, 0],
                instructions,
            )
        else:
            failed = resize_uint16(
                &image[0, 0], image.shape[0], image.shape[1], &down, &across, &out[0, 0],
                instructions,
            )
    if failed:
        raise MemoryError


def round_levels(const float[:, ::1] levels, uint8_t[:, ::1] out, int instructions):
    """Write levels from 0 to 255 to `out`, rounded."""
    cdef size_t count = levels.shape[0] * levels.shape[1]
    with nogil:
        round_levels_c(&levels[0, 0], count, &out[0, 0], instructions)
