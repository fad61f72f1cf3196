# cython: language_level=3
"""Check the `instructions` argument of the other extensions."""

cdef extern from "_processor.h":
    int best_instructions_c "best_instructions"()


cdef inline int refuse_unknown_instructions(int instructions) except -1:
    """Raise ValueError if this processor doesn't support the instructions."""
    if not 0 <= instructions <= best_instructions_c():
        raise ValueError(
            f"instructions must be 0 to {best_instructions_c()} on this processor, got {instructions}"
        )
    return 0
