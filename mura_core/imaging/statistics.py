"""The mean image and the deviation image of any number of images, in constant memory.

Each pixel keeps its sum and its sum of squares, exactly: of integers in 64-bit integers, of float32
in pairs of float64 (what rounding takes from the first goes to the second, by Knuth's two-sum),
and, should a pair ever not suffice, in Python's integers beside it. The end is computed in rational
arithmetic and rounded once. So the mean and the deviation are the correctly rounded true values,
and neither the order of the images, nor the number of threads, nor how they are split into parts
changes a bit of them.
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
from mura_core.imaging.extensions import pixel_sums
from mura_core.imaging.pixel_statistics import PixelStatistics

# Every float32 is a whole multiple of 2**-149, its square of 2**-298.
_UNIT_BITS = {"total": 149, "total_of_squares": 298}
# The squares of so many 16-bit pixels fit into 64 bits.
_MOST_IMAGES = 2**32
_EXACT_IN_FLOAT64 = 2**53


class ImageStatistics:
    """Sums over images of one shape, from which their mean and deviation follow.

    Images are added and not kept. All are integers (uint8 or uint16) or all are float32.

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
        # Of integers (pixels,) uint64; of float32 (2, pixels) float64, the pairs.
        self._sums: dict[str, NDArray[Any]] = {}
        # What a pair couldn't hold, in its unit, by the pixel's index.
        self._beyond: dict[str, dict[int, int]] = {name: {} for name in _UNIT_BITS}

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
        self.update_all(image[None], lambda _: name)

    def update_all(
        self, images: NDArray[np.generic], name: Callable[[int], str] = "image {}".format
    ) -> None:
        """Add several images at once, which for bytes costs a third of adding one by one.

        Parameters
        ----------
        images : ndarray of shape (N, H, W), uint8, uint16 or float32
        name : callable
            What an error calls the image of an index.

        Raises
        ------
        DataError, ValueError
            As `update` does. No image has been added then.
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
            raise ValueError(f"{name(0)}: there are no pixels in an array of shape {images.shape}")
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
        """Add the sums of other images to these, as if they had been added one by one."""
        if other.shape is None:
            return
        if self.shape is None:
            self._start(other.shape, other._integers)
        if (self.shape, self._integers) != (other.shape, other._integers):
            raise ValueError(f"images of {other.shape} can't be merged into {self.shape}")
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
        """Return the mean image, correctly rounded, of shape (H, W)."""
        count = self._at_least(1)
        if self._integers and self._sums["total"].max() < _EXACT_IN_FLOAT64:
            return (self._sums["total"] / np.float64(count)).reshape(self.shape)
        denominator = count * self._unit
        return self._image(total / denominator for total in self._exact("total"))

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
        divisor = count - ddof
        if not self._integers:
            pixels = zip(self._exact("total"), self._exact("total_of_squares"), strict=True)
            unit = self._unit
            return self._image(_deviation(count, divisor * unit**2, *sums) for sums in pixels)
        total, squares = self._sums.values()
        deviation = np.empty(len(total))
        pixel_sums.nearest_deviations(count, divisor, total, squares, deviation)
        for pixel in np.flatnonzero(deviation < 0):
            deviation[pixel] = _deviation(count, divisor, int(total[pixel]), int(squares[pixel]))
        return deviation.reshape(self.shape)

    def result(self, ddof: int = 1) -> PixelStatistics:
        """Return the mean and the deviation image."""
        return PixelStatistics(self.mean(), self.deviation(ddof), self.count)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return arrays, for `numpy.savez`, from which `from_state` goes on."""
        beyond = {name: list(amounts.items()) for name, amounts in self._beyond.items()}
        return {
            "count": np.array(self.count),
            "shape": np.array(self.shape or (), np.int64),
            "beyond": np.array(json.dumps(beyond)),
            **self._sums,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> ImageStatistics:
        """Return the sums whose `state` this is.

        Parameters
        ----------
        state : mapping
            As `state` returns it. It may come from a file, so nothing in it is taken on trust.

        Raises
        ------
        ValueError
            Something is missing, or has another shape or type than `state` gives it.
        """
        statistics = cls()
        try:
            count = operator.index(state["count"].item())
            if count == 0:
                return statistics
            shape = tuple(operator.index(length) for length in state["shape"].tolist())
            if not 0 < count <= _MOST_IMAGES or math.prod(shape) < 1 or min(shape, default=1) < 1:
                raise ValueError(f"there are no sums of {count} images of shape {shape}")
            integers, pixels = bool(state["total"].dtype == np.uint64), math.prod(shape)
            beyond = json.loads(str(state["beyond"]))
            for name in _UNIT_BITS:
                statistics._sums[name] = _checked_sums(name, state[name], integers, pixels)
                statistics._beyond[name] = _checked_amounts(beyond[name], pixels)
            statistics.count, statistics.shape, statistics._integers = count, shape, integers
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"these are no sums of images ({error!r})") from None
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
            amount = int(math.ldexp(beyond[pixel], _UNIT_BITS[name]))  # exact: a multiple of it
            kept[pixel] = kept.get(pixel, 0) + amount

    def _at_least(self, count: int) -> int:
        if self.count < count:
            raise DataError(f"statistics need at least {count} images; there are {self.count}")
        return self.count

    def _exact(self, name: str) -> Iterator[int]:
        # Each pixel's sum as a whole multiple of its unit.
        sums, beyond = self._sums[name], self._beyond[name]
        if self._integers:
            return iter(sums.tolist())
        pairs = np.ldexp(sums, _UNIT_BITS[name]).T.tolist()  # exact: far from overflow
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
        raise ValueError(f"{name}: holds NaN or infinity")
    return sums.copy()


def _checked_amounts(pairs: list[list[int]], pixels: int) -> dict[int, int]:
    amounts = {operator.index(pixel): operator.index(amount) for pixel, amount in pairs}
    if not all(0 <= pixel < pixels for pixel in amounts):
        raise ValueError(f"beyond: there are only {pixels} pixels")
    return amounts


def refuse_what_is_no_number(
    pixels: NDArray[np.float32], shape: tuple[int, ...], name: Callable[[int], str]
) -> None:
    """Raise a DataError that names the first NaN or infinity among images of shape (N, H, W)."""
    at = pixel_sums.first_not_finite(pixels)
    if at >= 0:
        image, *place = np.unravel_index(at, shape)
        where = ", ".join(
            f"{axis} {index}" for axis, index in zip(("row", "column"), place, strict=False)
        )
        raise DataError(
            f"{name(int(image))}: the pixel in {where} is {pixels[at]}, not a number that can be"
            " averaged. Mend or leave out this image."
        )


def _deviation(count: int, divisor: int, total: int, total_of_squares: int) -> float:
    return _square_root(max(0, count * total_of_squares - total * total), count * divisor)


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
