"""The mean and the deviation image of a set, and images standardised by them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_core.files import replacing


@dataclass(frozen=True)
class PixelStatistics:
    """The mean and deviation image of `count` images, each of shape (H, W), float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    count: int

    @cached_property
    def mean_and_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is taken from each pixel, and what the rest is multiplied by: 0 without spread."""
        varies = self.deviation > 0
        scale = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=varies)
        return self.mean.astype(np.float32), scale.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write an `.npz` with the arrays `mean`, `deviation` and `count`."""
        with replacing(path, "wb") as file:
            np.savez(file, mean=self.mean, deviation=self.deviation, count=self.count)


def load_statistics(path: Path) -> PixelStatistics:
    """Return what `PixelStatistics.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return PixelStatistics(arrays["mean"], arrays["deviation"], int(arrays["count"]))


def standardise(images: NDArray[np.generic], statistics: PixelStatistics) -> NDArray[np.float32]:
    """Return images less the mean image, over the deviation image.

    A pixel that never varied (a black border) carries no information: its standardised value
    is 0, whatever the pixel is.

    Parameters
    ----------
    images : ndarray of shape (..., H, W)
    statistics : PixelStatistics

    Returns
    -------
    ndarray of shape (..., H, W), float32
    """
    mean, scale = statistics.mean_and_scale
    standardised = np.subtract(images, mean, dtype=np.float32)
    standardised *= scale
    return standardised
