"""Import the compiled PNG extensions, or their replacements in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mura_core.imaging.extensions import IS_PURE

if TYPE_CHECKING or not IS_PURE:
    from mura_core.imaging.png import _chunks as chunks
    from mura_core.imaging.png import _rows as rows
else:
    from mura_core.imaging.png import pure_chunks as chunks
    from mura_core.imaging.png import pure_rows as rows

__all__ = ["chunks", "rows"]
