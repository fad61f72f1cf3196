"""PNG files as libpng reads them, by imagecodecs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import imagecodecs
import numpy as np


def by_libpng(content: bytes) -> np.ndarray:
    """Return a file's luma (Rec. 601), without alpha; raise where libpng refuses the file."""
    with silence():
        pixels = imagecodecs.png_decode(content)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 2:
        return pixels[..., 0]
    red, green, blue = (pixels[..., channel].astype(np.uint64) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(pixels.dtype)


@contextmanager
def silence() -> Iterator[None]:
    """Keep libpng's warnings, of what it mends, from the console."""
    console = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(console, 2)
        os.close(console)
        os.close(nowhere)
