"""The compiled extensions, or what stands in for them where they could not be compiled.

The results are the same bits, but take longer. `MURA_PURE=1` in the environment asks for that.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

_NAMES = ("_pixel_sums", "_processor", "_resize", "png._chunks", "png._rows")

# All or none, so that a run is either compiled or not.
IS_PURE = os.environ.get("MURA_PURE") == "1" or not all(
    find_spec(f"mura_core.imaging.{name}") for name in _NAMES
)

if TYPE_CHECKING or not IS_PURE:
    from mura_core.imaging import _pixel_sums as pixel_sums
    from mura_core.imaging import _resize as resize
    from mura_core.imaging._processor import best_instructions, has_avx512
else:
    from mura_core.imaging import pure_pixel_sums as pixel_sums
    from mura_core.imaging import pure_resize as resize

    def best_instructions() -> int:
        """Return 0, for scalar code."""
        return 0

    def has_avx512() -> bool:
        """Return False: without the extension it isn't known."""
        return False


__all__ = ["IS_PURE", "best_instructions", "has_avx512", "pixel_sums", "resize"]
