# cython: language_level=3
"""The check of the number of the vector instructions that the other extensions are called with."""

cdef extern from "_processor.h":
    int best_instructions_c "best_instructions"()


cdef inline int refuse_unknown_instructions(int instructions) except -1:
    """Raise a ValueError for instructions that this processor doesn't have."""
    if not 0 <= instructions <= best_instructions_c():
        raise ValueError(
            f"instructions must be 0 to {best_instructions_c()} on this processor, got {instructions}"
        )
    return 0
