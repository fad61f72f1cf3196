# cython: language_level=3
"""Per-pixel sums over images: exact for integers, in pairs of float64 for float32 pixels.

Python callers use `mura_core.imaging.statistics`. The extension is compiled without bounds checks, so
each function checks the lengths of its arrays first and raises ValueError; the typed memoryviews
check dtypes, ranks and contiguity. The sums in pairs require strict IEEE arithmetic: no
`-ffast-math`, no contraction (see setup.py).
"""

from libc.math cimport isfinite
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from mura_core.imaging._processor cimport refuse_unknown_instructions

ctypedef fused integer_pixel:
    uint8_t
    uint16_t

ctypedef fused any_pixel:
    uint8_t
    uint16_t
    float

cdef extern from "_pixel_sums.h" nogil:
    void add_bytes(
        const uint8_t *images, size_t count, size_t pixels, uint64_t *total,
        uint64_t *total_of_squares, int instructions
    )
    bint add_to_pairs_c "add_to_pairs"(
        const double *terms, size_t count, double *rounded, double *lost, double *beyond
    )
    bint add_reals_c "add_reals"(
        const float *pixels, size_t count, double *rounded, double *lost, double *beyond,
        double *square_rounded, double *square_lost, double *square_beyond, int instructions
    )
    double nearest_deviation(
        uint64_t count, uint64_t divisor, uint64_t total, uint64_t total_of_squares
    )
    void add_by_kahan_c "add_by_kahan"(double term, double *sum, double *compensation)


cdef int refuse_other_length(str name, Py_ssize_t length, Py_ssize_t pixels) except -1:
    if length != pixels:
        raise ValueError(f"{name}: expected length {pixels}, got {length}")
    return 0


cdef int refuse_other_pairs(str name, double[:, ::1] pairs, Py_ssize_t pixels) except -1:
    if pairs.shape[0] != 2 or pairs.shape[1] != pixels:
        raise ValueError(
            f"{name}: expected shape (2, {pixels}), got ({pairs.shape[0]}, {pairs.shape[1]})"
        )
    return 0


def add_integers(
    const integer_pixel[:, ::1] images not None,
    uint64_t[::1] total not None,
    uint64_t[::1] total_of_squares not None,
    int instructions,
):
    """Add images (N, pixels) and their squares to the exact totals (pixels,), in place."""
    cdef Py_ssize_t n, i
    cdef uint64_t pixel
    refuse_other_length("total", total.shape[0], images.shape[1])
    refuse_other_length("total_of_squares", total_of_squares.shape[0], images.shape[1])
    refuse_unknown_instructions(instructions)
    if images.shape[0] == 0 or images.shape[1] == 0:
        return
    with nogil:
        if integer_pixel is uint8_t:
            add_bytes(
                &images[0, 0], images.shape[0], images.shape[1], &total[0], &total_of_squares[0],
                instructions,
            )
        else:
            for n in range(images.shape[0]):
                for i in range(images.shape[1]):
                    pixel = images[n, i]
                    total[i] += pixel
                    total_of_squares[i] += pixel * pixel


def add_reals(
    const float[::1] pixels not None,
    double[:, ::1] total not None,
    double[:, ::1] total_of_squares not None,
    double[:, ::1] beyond not None,
    int instructions,
):
    """Add one image and its squares to totals in pairs; return whether `beyond` has a nonzero.

    `total` and `total_of_squares` (2, pixels) hold the rounded totals and their rounding errors.
    The remainders that don't fit in these pairs, of the pixels and of the squares, are written to
    `beyond` (2, pixels).
    """
    cdef bint any_beyond
    refuse_other_pairs("total", total, pixels.shape[0])
    refuse_other_pairs("total_of_squares", total_of_squares, pixels.shape[0])
    refuse_other_pairs("beyond", beyond, pixels.shape[0])
    refuse_unknown_instructions(instructions)
    if pixels.shape[0] == 0:
        return False
    with nogil:
        any_beyond = add_reals_c(
            &pixels[0], pixels.shape[0], &total[0, 0], &total[1, 0], &beyond[0, 0],
            &total_of_squares[0, 0], &total_of_squares[1, 0], &beyond[1, 0], instructions,
        )
    return any_beyond


def add_to_pairs(
    const double[::1] terms not None, double[:, ::1] total not None, double[::1] beyond not None
):
    """Add terms (pixels,) to totals in pairs (2, pixels); return whether `beyond` has a nonzero."""
    cdef bint any_beyond
    refuse_other_pairs("total", total, terms.shape[0])
    refuse_other_length("beyond", beyond.shape[0], terms.shape[0])
    if terms.shape[0] == 0:
        return False
    with nogil:
        any_beyond = add_to_pairs_c(
            &terms[0], terms.shape[0], &total[0, 0], &total[1, 0], &beyond[0]
        )
    return any_beyond


def nearest_deviations(
    uint64_t count,
    uint64_t divisor,
    const uint64_t[::1] total not None,
    const uint64_t[::1] total_of_squares not None,
    double[::1] out not None,
):
    """Write the correctly rounded deviations of integer totals to `out`, or -1 if undecided.

    It is undecided if a deviation is too close to the midpoint between two float64.
    """
    cdef Py_ssize_t i
    refuse_other_length("total", total.shape[0], out.shape[0])
    refuse_other_length("total_of_squares", total_of_squares.shape[0], out.shape[0])
    if count == 0 or divisor == 0:
        raise ValueError(f"count and divisor must be positive, got {count} and {divisor}")
    with nogil:
        for i in range(out.shape[0]):
            out[i] = nearest_deviation(count, divisor, total[i], total_of_squares[i])


def add_by_kahan(
    const any_pixel[::1] pixels not None,
    double[::1] sums not None,
    double[::1] compensations not None,
):
    """Add one image to Kahan sums, in place."""
    cdef Py_ssize_t i
    refuse_other_length("sums", sums.shape[0], pixels.shape[0])
    refuse_other_length("compensations", compensations.shape[0], pixels.shape[0])
    with nogil:
        for i in range(pixels.shape[0]):
            add_by_kahan_c(pixels[i], &sums[i], &compensations[i])


def add_squares_by_kahan(
    const any_pixel[::1] pixels not None,
    const double[::1] mean not None,
    double[::1] sums not None,
    double[::1] compensations not None,
):
    """Add one image's squared differences from the mean to Kahan sums, in place."""
    cdef Py_ssize_t i
    cdef double difference
    refuse_other_length("mean", mean.shape[0], pixels.shape[0])
    refuse_other_length("sums", sums.shape[0], pixels.shape[0])
    refuse_other_length("compensations", compensations.shape[0], pixels.shape[0])
    with nogil:
        for i in range(pixels.shape[0]):
            difference = pixels[i] - mean[i]
            add_by_kahan_c(difference * difference, &sums[i], &compensations[i])


def first_not_finite(const float[::1] pixels not None):
    """Return the index of the first NaN or infinity, or -1 if there is none."""
    cdef Py_ssize_t i, found = -1
    with nogil:
        for i in range(pixels.shape[0]):
            if not isfinite(pixels[i]):
                found = i
                break
    return found
