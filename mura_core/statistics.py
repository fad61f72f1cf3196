"""The mean image and the deviation image of any number of images, in constant memory.

Each pixel keeps its sum and its sum of squares: integer pixels in 64-bit integers, float32
pixels in compensated pairs of float64 (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
Summation endlicher Summen", ZAMM 54, 1974). The end is computed in rational arithmetic and
rounded once, so neither the order of the images nor how they are split changes a bit of the
integer results. A compensated sum of float32 pixels x1 ... xn is off by at most about
2**-105 * n * (|x1| + ... + |xn|), which no radiograph's pixels come near.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_core import _pixel_sums
from mura_core.errors import DataError
from mura_core.files import replacing

# Every float32 is a whole multiple of 2**-149, its square of 2**-298.
_FLOAT32_SCALE = 149


class ImageStatistics:
    """Sums over images of one shape, from which their mean and deviation follow.

    Images are added one by one and not kept. All are integers (uint8 or uint16) or all are
    float32.

    Examples
    --------
    >>> statistics = ImageStatistics()
    >>> for level in (1, 2, 6):
    ...     statistics.update(np.full((2, 2), level, np.uint8))
    >>> float(statistics.mean()[0, 0]), float(statistics.deviation(ddof=0)[0, 0] ** 2)
    (3.0, 4.666666666666667)
    """

    def __init__(self) -> None:
        self.count = 0
        self.shape: tuple[int, ...] | None = None
        self._integers = True
        self._total: NDArray[np.uint64] | NDArray[np.float64] = np.empty(0)
        self._total_of_squares: NDArray[np.uint64] | NDArray[np.float64] = np.empty(0)

    def update(self, image: NDArray[np.generic], name: str = "image") -> None:
        """Add one image to the sums.

        Parameters
        ----------
        image : ndarray of shape (H, W), uint8, uint16 or float32
            Pixel values.
        name : str
            What an error calls the image, such as its path.

        Raises
        ------
        DataError
            A pixel is NaN or infinite: one such value would spoil its pixel's sums for ever.
        ValueError
            The image's shape or dtype isn't that of the images before it.
        """
        integers = image.dtype in (np.uint8, np.uint16)
        if not integers and image.dtype != np.float32:
            raise ValueError(f"{name}: dtype {image.dtype} is not one of uint8, uint16, float32")
        if self.shape is None:
            self._start(image.shape, integers)
        if image.shape != self.shape:
            raise ValueError(f"{name}: shape {image.shape} is not {self.shape}")
        if integers != self._integers:
            raise ValueError(f"{name}: integer and float32 images can't be summed together")
        pixels = np.ascontiguousarray(image).reshape(-1)
        if integers:
            _pixel_sums.add_integers(pixels, self._total, self._total_of_squares)  # type: ignore[arg-type]
        else:
            at = _pixel_sums.first_not_finite(pixels)
            if at >= 0:
                row, column = np.unravel_index(at, image.shape)
                raise DataError(
                    f"{name}: the pixel in row {row}, column {column} is {pixels[at]}, not a number"
                    " that can be averaged. Mend or leave out this image."
                )
            _pixel_sums.add_reals(pixels, self._total, self._total_of_squares)  # type: ignore[arg-type]
        self.count += 1

    def merge(self, other: ImageStatistics) -> None:
        """Add the sums of other images to these, as if they had been added one by one."""
        if other.shape is None:
            return
        if self.shape is None:
            self._start(other.shape, other._integers)
        if (self.shape, self._integers) != (other.shape, other._integers):
            raise ValueError(f"images of {other.shape} can't be merged into {self.shape}")
        for mine, theirs in (
            (self._total, other._total),
            (self._total_of_squares, other._total_of_squares),
        ):
            if self._integers:
                mine += theirs
            else:
                _pixel_sums.merge_reals(theirs, mine)  # type: ignore[arg-type]
        self.count += other.count

    def mean(self) -> NDArray[np.float64]:
        """Return the mean image, correctly rounded, of shape (H, W)."""
        denominator = self._at_least(1) * self._unit
        return self._image(total / denominator for total in self._exact(self._total))

    def deviation(self, ddof: int = 1) -> NDArray[np.float64]:
        """Return the deviation image, correctly rounded, of shape (H, W).

        Parameters
        ----------
        ddof : int
            The variance's divisor is the count less this. 1, the sample deviation, is what the
            2019 report used; 0 gives the deviation of just these images.

        Raises
        ------
        DataError
            There are not more than `ddof` images.
        """
        count = self._at_least(ddof + 1)
        denominator = count * (count - ddof) * self._unit**2
        totals = self._exact(self._total)
        squares = self._exact(self._total_of_squares, power=2)
        return self._image(
            _square_root(max(0, count * square - total * total), denominator)
            for total, square in zip(totals, squares, strict=True)
        )

    @property
    def _unit(self) -> int:
        return 1 if self._integers else 1 << _FLOAT32_SCALE

    def _start(self, shape: tuple[int, ...], integers: bool) -> None:
        self.shape, self._integers = shape, integers
        pixels = math.prod(shape)
        if integers:
            self._total = np.zeros(pixels, np.uint64)
            self._total_of_squares = np.zeros(pixels, np.uint64)
        else:
            self._total = np.zeros((pixels, 2), np.float64)
            self._total_of_squares = np.zeros((pixels, 2), np.float64)

    def _at_least(self, count: int) -> int:
        if self.count < count:
            raise DataError(f"statistics need at least {count} images; there are {self.count}")
        return self.count

    def _exact(
        self, totals: NDArray[np.uint64] | NDArray[np.float64], power: int = 1
    ) -> Iterable[int]:
        # The totals as whole multiples of the unit to this power.
        if self._integers:
            return totals.tolist()
        scaled = np.ldexp(totals, power * _FLOAT32_SCALE)  # exact: far from overflow
        return (int(rounded) + int(lost) for rounded, lost in scaled.tolist())

    def _image(self, pixels: Iterable[float]) -> NDArray[np.float64]:
        assert self.shape is not None
        return np.fromiter(pixels, np.float64, math.prod(self.shape)).reshape(self.shape)


def _square_root(numerator: int, denominator: int) -> float:
    """Return the correctly rounded square root of a fraction that isn't negative."""
    if numerator == 0:
        return 0.0
    # Scale the quotient to at least 112 bits, so that its integer root has at least 56, three
    # more than a float64; a last bit tells the rounding whether anything lies beyond them.
    shift = max(0, 112 + denominator.bit_length() - numerator.bit_length())
    shift += shift % 2
    quotient, remainder = divmod(numerator << shift, denominator)
    root = math.isqrt(quotient)
    beyond = remainder != 0 or root * root != quotient
    return math.ldexp(float(2 * root + beyond), -(shift // 2) - 1)


@dataclass(frozen=True)
class PixelStatistics:
    """The mean and deviation image of `count` images, each of shape (H, W), float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    count: int

    def save(self, path: Path) -> None:
        """Write an `.npz` with the arrays `mean`, `deviation` and `count`."""
        with replacing(path, "wb") as file:
            np.savez_compressed(file, mean=self.mean, deviation=self.deviation, count=self.count)


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
    scale = np.divide(
        1.0,
        statistics.deviation,
        out=np.zeros_like(statistics.deviation),
        where=statistics.deviation > 0,
    )
    return ((images - statistics.mean.astype(np.float32)) * scale.astype(np.float32)).astype(
        np.float32, copy=False
    )
