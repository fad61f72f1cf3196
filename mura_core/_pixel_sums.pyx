# cython: language_level=3
"""Sums over images, pixel by pixel: exact for integer pixels, compensated for real ones.

Python callers use `mura_core.statistics`, which checks shapes and dtypes; here they are taken
on trust. The compensation only works as written: no `-ffast-math`, no contraction (see setup.py).
"""

from libc.math cimport fabs, isfinite
from libc.stdint cimport uint8_t, uint16_t, uint64_t

ctypedef fused integer_pixel:
    uint8_t
    uint16_t


def add_integers(
    const integer_pixel[::1] pixels,
    uint64_t[::1] total,
    uint64_t[::1] total_of_squares,
):
    """Add one image's pixels, and their squares, to the exact totals."""
    cdef Py_ssize_t i
    cdef uint64_t pixel
    with nogil:
        for i in range(pixels.shape[0]):
            pixel = pixels[i]
            total[i] += pixel
            total_of_squares[i] += pixel * pixel


cdef inline void add_compensated(double term, double *total, double *lost) noexcept nogil:
    # Neumaier 1974: what rounding took from the larger of the two is kept in `lost`.
    cdef double rounded = total[0] + term
    if fabs(total[0]) >= fabs(term):
        lost[0] += (total[0] - rounded) + term
    else:
        lost[0] += (term - rounded) + total[0]
    total[0] = rounded


def add_reals(
    const float[::1] pixels,
    double[:, ::1] total,
    double[:, ::1] total_of_squares,
):
    """Add one image's pixels, and their squares, to the compensated totals.

    Each row of `total` and `total_of_squares` is a pixel: its rounded total, and what rounding
    has taken from it. The square of a float32 is exact in float64.
    """
    cdef Py_ssize_t i
    cdef double pixel
    with nogil:
        for i in range(pixels.shape[0]):
            pixel = pixels[i]
            add_compensated(pixel, &total[i, 0], &total[i, 1])
            add_compensated(pixel * pixel, &total_of_squares[i, 0], &total_of_squares[i, 1])


def merge_reals(const double[:, ::1] other, double[:, ::1] total):
    """Add the compensated totals of other images to these."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(total.shape[0]):
            add_compensated(other[i, 0], &total[i, 0], &total[i, 1])
            total[i, 1] += other[i, 1]


def first_not_finite(const float[::1] pixels):
    """Return the index of the first NaN or infinity, or -1."""
    cdef Py_ssize_t i, found = -1
    with nogil:
        for i in range(pixels.shape[0]):
            if not isfinite(pixels[i]):
                found = i
                break
    return found
