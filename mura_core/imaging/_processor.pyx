# cython: language_level=3
"""What the processor can do. Python callers use `mura_core.imaging.cpu`."""

cdef extern from "_processor.h":
    bint processor_has_avx512()


def best_instructions():
    """Return the most that the extensions know and this processor has: see _processor.h."""
    return best_instructions_c()


def has_avx512():
    """Return whether the processor has AVX-512, which changes what is fast in TensorFlow."""
    return processor_has_avx512()
