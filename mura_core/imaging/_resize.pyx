# cython: language_level=3
"""Separable weighted sums of pixels. Python callers use `mura_core.imaging.resizing`.

The extension is compiled without bounds checks, so `weighted` checks its arguments first.
"""

from libc.stdint cimport uint8_t, uint16_t

from mura_core.imaging._processor cimport refuse_unknown_instructions

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


cdef int refuse_outside(
    str axis,
    const Py_ssize_t[::1] first,
    const float[:, ::1] weights,
    Py_ssize_t length,
    Py_ssize_t size,
) except -1:
    """Raise ValueError unless `size` sums of pixels stay within an axis of `length` pixels."""
    cdef Py_ssize_t i, taps = weights.shape[1]
    if first.shape[0] != size or weights.shape[0] != size:
        raise ValueError(
            f"{axis}: expected {size} first pixels and {size} sets of weights, got"
            f" {first.shape[0]} and {weights.shape[0]}"
        )
    if size == 0 or not 1 <= taps <= length:
        raise ValueError(f"{axis}: {taps} weights for each of {size} sums over {length} pixels")
    for i in range(size):
        if not 0 <= first[i] <= length - taps:
            raise ValueError(
                f"{axis}: {taps} pixels starting at {first[i]} are not within {length} pixels"
            )
    return 0


def weighted(
    const grey_pixel[:, ::1] image not None,
    const Py_ssize_t[::1] first_row not None,
    const float[:, ::1] row_weights not None,
    const Py_ssize_t[::1] first_column not None,
    const float[:, ::1] column_weights not None,
    new_pixel[:, ::1] out not None,
    int instructions,
):
    """Write weighted sums of the image's rows and columns to `out`, rounded if it is uint8.

    Output row i is the sum of the input rows starting at `first_row[i]`, weighted by
    `row_weights[i]`; columns likewise. The sums must be levels from 0 to 255.

    Raises
    ------
    ValueError
        The lengths of the arrays are inconsistent, or a sum includes pixels outside the image.
    """
    cdef weights down, across
    cdef int failed
    cdef float *levels = NULL
    cdef uint8_t *rounded = NULL
    refuse_outside("rows", first_row, row_weights, image.shape[0], out.shape[0])
    refuse_outside("columns", first_column, column_weights, image.shape[1], out.shape[1])
    refuse_unknown_instructions(instructions)
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
