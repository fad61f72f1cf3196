"""Import the compiled extensions, or their replacements in Python if they aren't compiled.

The replacements give bit-identical results, but are slower. The environment variable `MURA_PURE=1`
selects them.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

_NAMES = ("_pixel_sums", "_processor", "_resize", "png._chunks", "png._rows")

# All or none, so that compiled and Python code are never mixed.
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
        """Return False, as it can't be detected without the extension."""
        return False


__all__ = ["IS_PURE", "best_instructions", "has_avx512", "pixel_sums", "resize"]
