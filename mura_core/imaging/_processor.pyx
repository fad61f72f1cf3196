# cython: language_level=3
"""Detect vector instructions. Python callers use `mura_core.imaging.cpu`."""

cdef extern from "_processor.h":
    bint processor_has_avx512()


def best_instructions():
    """Return the number of the best instructions that the extensions and this processor support.

    The numbers are those in _processor.h.
    """
    return best_instructions_c()


def has_avx512():
    """Return whether the processor has AVX-512, which affects the speed of TensorFlow's kernels."""
    return processor_has_avx512()
