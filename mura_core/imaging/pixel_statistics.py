"""Mean and deviation images, and standardisation with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_core.files import replacing


@dataclass(frozen=True)
class PixelStatistics:
    """The mean and deviation image of a set of images.

    Attributes
    ----------
    mean : ndarray of shape (H, W), float64
        Mean of each pixel.
    deviation : ndarray of shape (H, W), float64
        Standard deviation of each pixel.
    count : int
        Number of images.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    count: int

    @cached_property
    def mean_and_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and reciprocal deviation, float32; the latter is 0 where the deviation is 0."""
        varies = self.deviation > 0
        scale = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=varies)
        return self.mean.astype(np.float32), scale.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write an `.npz` file with the arrays `mean`, `deviation` and `count`.

        Parameters
        ----------
        path : Path
            The file to write.
        """
        with replacing(path, "wb") as file:
            np.savez(file, mean=self.mean, deviation=self.deviation, count=self.count)


def load_statistics(path: Path) -> PixelStatistics:
    """Return the statistics in a file written by `PixelStatistics.save`.

    Parameters
    ----------
    path : Path
        The `.npz` file.

    Returns
    -------
    PixelStatistics
    """
    with np.load(path, allow_pickle=False) as arrays:
        return PixelStatistics(arrays["mean"], arrays["deviation"], int(arrays["count"]))


def standardise(images: NDArray[np.generic], statistics: PixelStatistics) -> NDArray[np.float32]:
    """Subtract the mean image and divide by the deviation image.

    A pixel with deviation 0 (such as a black border) carries no information: its standardised value
    is always 0.

    Parameters
    ----------
    images : ndarray of shape (..., H, W)
        Images of any integer or floating dtype.
    statistics : PixelStatistics
        Mean and deviation image.

    Returns
    -------
    ndarray of shape (..., H, W), float32
    """
    mean, scale = statistics.mean_and_scale
    standardised = np.subtract(images, mean, dtype=np.float32)
    standardised *= scale
    return standardised
