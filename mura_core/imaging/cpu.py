"""Select the vector instructions of the extensions: by default the best that the processor has.

The environment variable MURA_INSTRUCTIONS selects others (`scalar`, `sse2` or `avx2`). The results
are bit-identical.
"""

from __future__ import annotations

import os
from functools import cache

from mura_core.errors import UsageError
from mura_core.imaging.extensions import best_instructions

NAMES = ("scalar", "sse2", "avx2")  # as numbered in _processor.h


@cache
def instructions() -> int:
    """Return the number of the instructions in use, an index into `NAMES`.

    Raises
    ------
    UsageError
        MURA_INSTRUCTIONS is unknown or not supported by this processor.
    """
    best = best_instructions()
    asked = os.environ.get("MURA_INSTRUCTIONS", NAMES[best])
    known = NAMES[: best + 1]
    if asked not in known:
        raise UsageError(
            f"MURA_INSTRUCTIONS={asked!r} is not one of {', '.join(known)}, the instructions that"
            " this processor supports"
        )
    return NAMES.index(asked)


def instruction_set() -> str:
    """Return the name of the instructions in use, one of `NAMES`."""
    return NAMES[instructions()]
