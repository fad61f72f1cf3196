"""The orientation that EXIF or XMP metadata declare, and images turned upright by it.

Metadata are read here, not by Pillow, which warns on the console of what is odd in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import ImageFileError
from mura_core.imaging.levels import Samples
from mura_core.imaging.tiff_directory import BYTES_OF, read_entries

ORIENTATION = 274  # EXIF and TIFF tag
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])\b")

# What makes an image with that orientation upright (EXIF 3.0, section 4.6.5.1.6).
_UPRIGHT: dict[int, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: np.rot90,
}


def declared_orientation(exif: bytes = b"", xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8, in EXIF or, if it has none, in XMP; 1 if neither has any.

    Parameters
    ----------
    exif : bytes
        The EXIF structure, with or without the prefix "Exif".
    xmp : bytes
        The XMP document.
    """
    held = _in_exif(exif.removeprefix(b"Exif\0\0"))
    if 1 <= held <= 8:
        return held
    found = _IN_XMP.search(xmp)
    return int(found[1]) if found else 1


def _in_exif(exif: bytes) -> int:
    try:
        entries = read_entries(exif)
    except ImageFileError:
        return 0
    order: Literal["little", "big"] = "little" if exif.startswith(b"I") else "big"
    for tag, kind, count, value in entries:
        size = BYTES_OF.get(kind, 0)
        if tag == ORIENTATION and count == 1 and size <= len(value):
            return int.from_bytes(value[:size], order)
    return 0


def upright(pixels: Samples, orientation: int) -> Samples:
    """Return an image turned and mirrored as its orientation says.

    Parameters
    ----------
    pixels : ndarray of shape (H, W)
    orientation : int
        1 to 8; 1 is upright.

    Returns
    -------
    ndarray of shape (H, W) or (W, H)
    """
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))
