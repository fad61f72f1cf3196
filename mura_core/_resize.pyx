# cython: language_level=3
"""Weighted sums of pixels, down and then across. `mura_core.radiographs.resize` documents it."""

from libc.stdint cimport uint8_t, uint16_t

ctypedef fused grey_pixel:
    uint8_t
    uint16_t


def weighted(
    const grey_pixel[:, ::1] image,
    const Py_ssize_t[::1] first_row,
    const float[:, ::1] row_weights,
    const Py_ssize_t[::1] first_column,
    const float[:, ::1] column_weights,
    float[::1] line,
    uint8_t[:, ::1] out,
):
    """Write to `out` the image's rows and columns, weighted, rounded once.

    Row i is made of the rows from `first_row[i]` on, with `row_weights[i]`; columns likewise.
    Weights beyond the image are 0; `line` is scratch for a row and as many columns as there are
    column weights, all zeros.
    """
    cdef Py_ssize_t height = image.shape[0], width = image.shape[1]
    cdef Py_ssize_t i, j, k, x
    cdef float weight, total
    cdef const grey_pixel *row
    cdef float *sums = &line[0]
    with nogil:
        for i in range(out.shape[0]):
            for x in range(width):
                sums[x] = 0
            for k in range(row_weights.shape[1]):
                weight = row_weights[i, k]
                if weight > 0 and first_row[i] + k < height:
                    row = &image[first_row[i] + k, 0]
                    for x in range(width):
                        sums[x] += weight * row[x]
            for j in range(out.shape[1]):
                total = 0
                for k in range(column_weights.shape[1]):
                    total += column_weights[j, k] * sums[first_column[j] + k]
                out[i, j] = <uint8_t>(total + 0.5)
