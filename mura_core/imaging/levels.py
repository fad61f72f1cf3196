"""Grey levels: luma, and samples of any bit depth as levels that span 8 or 16 bits.

Invariant: a uint8 image spans 0 to 255 and a uint16 image 0 to 65535, whatever the bit depth of
the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mura_core.errors import ImageFileError

Samples: TypeAlias = NDArray[Any]  # uint8 or uint16

# Rec. 601, in fixed point with 16 fractional bits, as in Pillow.
_RED, _GREEN, _BLUE = 19595, 38470, 7471


_CHROMA_STEP = 8  # rows and columns between the pixels that are measured


@dataclass
class Chroma:
    """How colourful an image is, measured while its file is decoded.

    Attributes
    ----------
    mean : float
        Mean difference between the largest and the smallest channel, in levels from 0 to 255. It is
        0 for greyscale.
    """

    mean: float = 0.0

    def measure(self, red: Samples, green: Samples, blue: Samples) -> None:
        """Measure some pixels of an image.

        Parameters
        ----------
        red, green, blue : ndarray of shape (H, W), uint8 or uint16
            The channels.
        """
        every = np.s_[::_CHROMA_STEP, ::_CHROMA_STEP]
        channels = np.stack([red[every], green[every], blue[every]])
        difference = channels.max(axis=0) - channels.min(axis=0)
        self.mean = float(difference.mean()) * 255 / np.iinfo(red.dtype).max


def spanning(samples: Samples, depth: int) -> Samples:
    """Scale samples of a bit depth to 0..255 or, above 8 bits, to 0..65535, rounded.

    Parameters
    ----------
    samples : ndarray, uint8 or uint16
        Samples from 0 to 2**depth - 1.
    depth : int
        Number of bits, 1 to 16.

    Returns
    -------
    ndarray, uint8 or uint16

    Raises
    ------
    ImageFileError
        A sample has more bits. Only a depth that the user gave can be wrong.
    """
    highest, full = 2**depth - 1, 255 if depth <= 8 else 65535
    if highest == np.iinfo(samples.dtype).max:
        return samples
    if samples.size and samples.max() > highest:
        raise ImageFileError(
            f"has the level {samples.max()}, but --bit-depth {depth} allows only 0 to {highest}"
        )
    levels = np.arange(highest + 1, dtype=np.uint32)
    table = (levels * full + highest // 2) // highest
    return table.astype(np.uint8 if depth <= 8 else np.uint16)[samples]


def luma(colours: Samples, chroma: Chroma | None = None) -> Samples:
    """Return the Rec. 601 luma of colours, rounded as in Pillow.

    Parameters
    ----------
    colours : ndarray of shape (H, W, 3), uint8 or uint16
        Red, green and blue.
    chroma : Chroma, optional
        Measures them.

    Returns
    -------
    ndarray of shape (H, W), of the same dtype
    """
    if chroma is not None:
        chroma.measure(*np.moveaxis(colours, -1, 0))
    if colours.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(colours)).convert("L"))
    red, green, blue = (colours[..., channel].astype(np.uint32) for channel in range(3))
    weighted = red * np.uint32(_RED) + green * np.uint32(_GREEN) + blue * np.uint32(_BLUE)
    return ((weighted + np.uint32(0x8000)) >> np.uint32(16)).astype(colours.dtype)


def luma_of_inks(inks: Samples) -> Samples:
    """Return the luma of cyan, magenta, yellow and black, without a colour profile, as Pillow does.

    Parameters
    ----------
    inks : ndarray of shape (H, W, 4), uint8 or uint16
        0 is no ink.

    Returns
    -------
    ndarray of shape (H, W), of the same dtype
    """
    highest = np.uint32(np.iinfo(inks.dtype).max)
    left_by_black = highest - inks[..., 3:].astype(np.uint32)
    absorbed = (inks[..., :3] * left_by_black + highest // 2) // highest
    return luma((left_by_black - absorbed).astype(inks.dtype))
