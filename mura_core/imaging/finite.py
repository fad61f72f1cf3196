"""Refuse pixels that no sum can hold: NaN and infinity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.imaging.extensions import pixel_sums


def refuse_what_is_no_number(
    pixels: NDArray[np.float32], shape: tuple[int, ...], name: Callable[[int], str]
) -> None:
    """Raise DataError if a pixel is NaN or infinite, naming the first one.

    Parameters
    ----------
    pixels : ndarray of shape (N * H * W,), float32
        The pixels of N images.
    shape : tuple of int
        The shape (N, H, W).
    name : callable
        Returns the name of the image with a given index.

    Raises
    ------
    DataError
        A pixel is NaN or infinite.
    """
    at = pixel_sums.first_not_finite(pixels)
    if at >= 0:
        image, *place = np.unravel_index(at, shape)
        where = ", ".join(
            f"{axis} {index}" for axis, index in zip(("row", "column"), place, strict=False)
        )
        raise DataError(
            f"{name(int(image))}: the pixel in {where} is {pixels[at]}, which can't be averaged."
            " Correct or remove this image."
        )
