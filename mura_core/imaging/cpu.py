"""Which vector instructions the extensions use: the best that the processor has.

The environment variable MURA_INSTRUCTIONS asks for less (`scalar`, `sse2` or `avx2`). The results
are the same bits with any of them.
"""

from __future__ import annotations

import os
from functools import cache

from mura_core.errors import UsageError
from mura_core.imaging.extensions import best_instructions

NAMES = ("scalar", "sse2", "avx2")  # as numbered in _processor.h


@cache
def instructions() -> int:
    """Return the number of the instructions in use.

    Raises
    ------
    UsageError
        MURA_INSTRUCTIONS names none of them, or what this processor lacks.
    """
    best = best_instructions()
    asked = os.environ.get("MURA_INSTRUCTIONS", NAMES[best])
    known = NAMES[: best + 1]
    if asked not in known:
        raise UsageError(
            f"MURA_INSTRUCTIONS={asked!r} is not one of {', '.join(known)}, which this processor"
            " has"
        )
    return NAMES.index(asked)
