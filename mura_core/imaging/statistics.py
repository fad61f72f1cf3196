"""Exact mean and deviation images of any number of images, in constant memory.

The sum and the sum of squares of each pixel are exact. Integer pixels are summed in 64-bit
integers, float32 pixels in pairs of float64: the second holds the rounding error of the first
(Knuth's two-sum). A remainder that doesn't fit in a pair is added to a Python integer. The results
are computed in rational arithmetic and rounded once, so the mean and the deviation are correctly
rounded. They are bit-identical for any order of the images, any number of threads and any
partition that is merged.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.imaging.cpu import instructions
from mura_core.imaging.exact import exact_deviation
from mura_core.imaging.extensions import pixel_sums
from mura_core.imaging.finite import refuse_what_is_no_number
from mura_core.imaging.pixel_statistics import PixelStatistics

# Every float32 is an integer multiple of 2**-149, its square of 2**-298.
_UNIT_BITS = {"total": 149, "total_of_squares": 298}
# The sum of squares of this many 16-bit pixels fits in 64 bits.
_MOST_IMAGES = 2**32
_EXACT_IN_FLOAT64 = 2**53


class ImageStatistics:
    """Exact running sums of images, from which the mean and deviation image are computed.

    The images themselves aren't stored. They must have the same shape, and be either all integer
    (uint8 or uint16) or all float32.

    Attributes
    ----------
    count : int
        Number of images added so far.
    shape : tuple of int or None
        Shape of the images; None before the first one.

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
        # Integer images: (pixels,) uint64. float32 images: (2, pixels) float64, the pairs.
        self._sums: dict[str, NDArray[Any]] = {}
        # Remainders that don't fit in a pair, in multiples of the unit, by pixel index.
        self._beyond: dict[str, dict[int, int]] = {name: {} for name in _UNIT_BITS}

    def update(self, image: NDArray[np.generic], name: str = "image") -> None:
        """Add one image to the sums.

        Parameters
        ----------
        image : ndarray of shape (H, W), uint8, uint16 or float32
            The image.
        name : str
            Name of the image in error messages, such as its path.

        Raises
        ------
        DataError
            A pixel is NaN or infinite; one such value would make that pixel's sums NaN for ever.
        ValueError
            The image's shape or kind of dtype differs from the previous images.
        """
        self.update_all(image[None], lambda _: name)

    def update_all(
        self, images: NDArray[np.generic], name: Callable[[int], str] = "image {}".format
    ) -> None:
        """Add several images to the sums.

        For uint8 images, this takes a third of the time of adding them one by one.

        Parameters
        ----------
        images : ndarray of shape (N, H, W), uint8, uint16 or float32
            The images.
        name : callable
            Returns the name of the image with a given index, for error messages.

        Raises
        ------
        DataError, ValueError
            As for `update`. None of the images is added in this case.
        """
        integers = images.dtype in (np.uint8, np.uint16)
        if not integers and images.dtype != np.float32:
            raise ValueError(f"{name(0)}: dtype {images.dtype} is not uint8, uint16 or float32")
        shape = images.shape[1:]
        if self.shape is not None and shape != self.shape:
            raise ValueError(f"{name(0)}: shape {shape} is not {self.shape}")
        if self.shape is not None and integers != self._integers:
            raise ValueError(f"{name(0)}: integer and float32 images can't be summed together")
        rows = np.ascontiguousarray(images).reshape(len(images), math.prod(shape))
        if rows.size == 0:
            raise ValueError(f"{name(0)}: an array of shape {images.shape} has no pixels")
        if not integers:
            refuse_what_is_no_number(rows.reshape(-1), images.shape, name)
        if self.shape is None:
            self._start(shape, integers)
        if integers:
            self._refuse_overflow(len(rows))
            pixel_sums.add_integers(
                rows,
                self._sums["total"],
                self._sums["total_of_squares"],
                instructions(),
            )
        else:
            beyond = np.empty((2, rows.shape[1]))
            sums = self._sums["total"], self._sums["total_of_squares"]
            for row in rows:
                if pixel_sums.add_reals(row, *sums, beyond, instructions()):
                    self._keep_beyond("total", beyond[0])
                    self._keep_beyond("total_of_squares", beyond[1])
        self.count += len(rows)

    def merge(self, other: ImageStatistics) -> None:
        """Add the sums of other images, with the same result as adding the images one by one.

        Parameters
        ----------
        other : ImageStatistics
            Sums of images of the same shape and kind of dtype; unchanged.

        Raises
        ------
        ValueError
            The images have another shape or kind of dtype.
        """
        if other.shape is None:
            return
        if self.shape is None:
            self._start(other.shape, other._integers)
        if (self.shape, self._integers) != (other.shape, other._integers):
            raise ValueError(
                f"sums of shape {other.shape} can't be merged into sums of shape {self.shape}"
            )
        self._refuse_overflow(other.count)
        for name, theirs in other._sums.items():
            mine = self._sums[name]
            if self._integers:
                mine += theirs
                continue
            beyond = np.empty(mine.shape[1])
            for terms in theirs.copy():  # a copy, as `other` may be `self`
                if pixel_sums.add_to_pairs(terms, mine, beyond):
                    self._keep_beyond(name, beyond)
            for pixel, amount in list(other._beyond[name].items()):
                self._beyond[name][pixel] = self._beyond[name].get(pixel, 0) + amount
        self.count += other.count

    def mean(self) -> NDArray[np.float64]:
        """Return the mean image, correctly rounded.

        Returns
        -------
        ndarray of shape (H, W), float64

        Raises
        ------
        DataError
            No image has been added.
        """
        count = self._at_least(1)
        if self._integers and self._sums["total"].max() < _EXACT_IN_FLOAT64:
            return (self._sums["total"] / np.float64(count)).reshape(self.shape)
        denominator = count * self._unit
        return self._image(total / denominator for total in self._exact("total"))

    def deviation(self, ddof: int = 1) -> NDArray[np.float64]:
        """Return the standard deviation image, correctly rounded.

        Parameters
        ----------
        ddof : int
            Delta degrees of freedom: the divisor of the variance is `count - ddof`. 1 gives the
            sample deviation, as in the 2019 report; 0 gives the population deviation.

        Returns
        -------
        ndarray of shape (H, W), float64

        Raises
        ------
        DataError
            There are at most `ddof` images.
        """
        count = self._at_least(ddof + 1)
        divisor = count - ddof
        if not self._integers:
            pixels = zip(self._exact("total"), self._exact("total_of_squares"), strict=True)
            unit = self._unit
            return self._image(exact_deviation(count, divisor * unit**2, *sums) for sums in pixels)
        total, squares = self._sums.values()
        deviation = np.empty(len(total))
        pixel_sums.nearest_deviations(count, divisor, total, squares, deviation)
        for pixel in np.flatnonzero(deviation < 0):
            deviation[pixel] = exact_deviation(
                count, divisor, int(total[pixel]), int(squares[pixel])
            )
        return deviation.reshape(self.shape)

    def result(self, ddof: int = 1) -> PixelStatistics:
        """Return the mean and deviation image.

        Parameters
        ----------
        ddof : int
            See `deviation`.

        Returns
        -------
        PixelStatistics
        """
        return PixelStatistics(self.mean(), self.deviation(ddof), self.count)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the sums as a dict of arrays, for `numpy.savez` and `from_state`."""
        beyond = {name: list(amounts.items()) for name, amounts in self._beyond.items()}
        return {
            "count": np.array(self.count),
            "shape": np.array(self.shape or (), np.int64),
            "beyond": np.array(json.dumps(beyond)),
            **self._sums,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> ImageStatistics:
        """Return an `ImageStatistics` restored from its state.

        Parameters
        ----------
        state : mapping
            Arrays as returned by `state`. They are validated, as they may come from a file.

        Returns
        -------
        ImageStatistics

        Raises
        ------
        ValueError
            An array is missing, or has a wrong shape or type.
        """
        statistics = cls()
        try:
            count = operator.index(state["count"].item())
            if count == 0:
                return statistics
            shape = tuple(operator.index(length) for length in state["shape"].tolist())
            if not 0 < count <= _MOST_IMAGES or math.prod(shape) < 1 or min(shape, default=1) < 1:
                raise ValueError(f"invalid count {count} or shape {shape}")
            integers, pixels = bool(state["total"].dtype == np.uint64), math.prod(shape)
            beyond = json.loads(str(state["beyond"]))
            for name in _UNIT_BITS:
                statistics._sums[name] = _checked_sums(name, state[name], integers, pixels)
                statistics._beyond[name] = _checked_amounts(beyond[name], pixels)
            statistics.count, statistics.shape, statistics._integers = count, shape, integers
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a state of ImageStatistics ({error!r})") from None
        return statistics

    @property
    def _unit(self) -> int:
        return 1 if self._integers else 1 << _UNIT_BITS["total"]

    def _start(self, shape: tuple[int, ...], integers: bool) -> None:
        self.shape, self._integers = shape, integers
        pixels = math.prod(shape)
        for name in _UNIT_BITS:
            self._sums[name] = np.zeros(pixels, np.uint64) if integers else np.zeros((2, pixels))

    def _refuse_overflow(self, more: int) -> None:
        if self.count + more > _MOST_IMAGES:
            raise ValueError(f"more than {_MOST_IMAGES:,} images can't be summed exactly")

    def _keep_beyond(self, name: str, beyond: NDArray[np.float64]) -> None:
        kept = self._beyond[name]
        for pixel in np.flatnonzero(beyond).tolist():
            amount = int(math.ldexp(beyond[pixel], _UNIT_BITS[name]))  # exact: an integer
            kept[pixel] = kept.get(pixel, 0) + amount

    def _at_least(self, count: int) -> int:
        if self.count < count:
            raise DataError(f"the statistics need at least {count} images, got {self.count}")
        return self.count

    def _exact(self, name: str) -> Iterator[int]:
        # Each pixel's sum as an integer multiple of the unit.
        sums, beyond = self._sums[name], self._beyond[name]
        if self._integers:
            return iter(sums.tolist())
        pairs = np.ldexp(sums, _UNIT_BITS[name]).T.tolist()  # exact: can't overflow
        return (
            int(rounded) + int(lost) + beyond.get(pixel, 0)
            for pixel, (rounded, lost) in enumerate(pairs)
        )

    def _image(self, pixels: Iterable[float]) -> NDArray[np.float64]:
        assert self.shape is not None
        return np.fromiter(pixels, np.float64, math.prod(self.shape)).reshape(self.shape)


def _checked_sums(name: str, sums: NDArray[Any], integers: bool, pixels: int) -> NDArray[Any]:
    dtype, shape = (np.uint64, (pixels,)) if integers else (np.float64, (2, pixels))
    if sums.dtype != dtype or sums.shape != shape:
        raise ValueError(
            f"{name}: expected {np.dtype(dtype)} of shape {shape}, got {sums.dtype} of shape"
            f" {sums.shape}"
        )
    if not np.isfinite(sums).all():
        raise ValueError(f"{name}: contains NaN or infinity")
    return sums.copy()


def _checked_amounts(pairs: list[list[int]], pixels: int) -> dict[int, int]:
    amounts = {operator.index(pixel): operator.index(amount) for pixel, amount in pairs}
    if not all(0 <= pixel < pixels for pixel in amounts):
        raise ValueError(f"beyond: expected pixel indices from 0 to {pixels - 1}")
    return amounts
