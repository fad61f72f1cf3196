"""Quantities of a radiograph as it was read, by which unusual ones are noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 64  # rows and columns that the mean is of, at least


@dataclass(frozen=True)
class ImageTraits:
    """Quantities of an image at its original size and bit depth.

    Attributes
    ----------
    height, width : int
        Size in pixels.
    bits : {8, 16}
        Bit depth.
    darkest, brightest : int
        Smallest and largest level, from 0 to 255 or 65535.
    mean : float
        Mean level, from 0 to 255, of at least 64 rows and columns of pixels.
    chroma : float
        How colourful the file is: the mean difference between the largest and the smallest
        channel, from 0 to 255.
    """

    height: int
    width: int
    bits: int
    darkest: int
    brightest: int
    mean: float
    chroma: float


def traits_of(pixels: NDArray[Any], chroma: float = 0.0) -> ImageTraits:
    """Return the traits of an image.

    Parameters
    ----------
    pixels : ndarray of shape (H, W), uint8 or uint16
        The image.
    chroma : float
        How colourful its file is, from 0 to 255.
    """
    height, width = pixels.shape
    some = pixels[:: max(1, height // _SAMPLES), :: max(1, width // _SAMPLES)]
    # Summing integers takes half the time of NumPy's mean.
    mean = int(some.sum()) / some.size * 255 / np.iinfo(pixels.dtype).max
    return ImageTraits(
        height=height,
        width=width,
        bits=8 * pixels.dtype.itemsize,
        darkest=int(pixels.min()),
        brightest=int(pixels.max()),
        mean=round(mean, 3),
        chroma=round(chroma, 3),
    )
