"""Mean and deviation image by two passes of compensated (Kahan) summation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.imaging.extensions import pixel_sums
from mura_core.imaging.finite import refuse_what_is_no_number
from mura_core.imaging.pixel_statistics import PixelStatistics

_DTYPES = (np.uint8, np.uint16, np.float32)


def two_pass_kahan(images: Iterable[NDArray[np.generic]], ddof: int = 1) -> PixelStatistics:
    """Return the mean and deviation image by the 2019 report's method, for comparison.

    The first pass sums the pixels, the second the squares of their differences from the mean, both
    by Kahan's compensated summation (Communications of the ACM 8, 1965). The results are accurate
    to a few units in the last place, while those of `ImageStatistics` are correctly rounded and
    need only one pass.

    Parameters
    ----------
    images : iterable of ndarray of shape (H, W), uint8, uint16 or float32
        The images. It is iterated over twice, so it can't be an iterator.
    ddof : int
        Delta degrees of freedom: the divisor of the variance is the number of images minus `ddof`.

    Returns
    -------
    PixelStatistics

    Raises
    ------
    DataError
        A pixel is NaN or infinite, or there are at most `ddof` images.
    ValueError
        An image has another dtype, or another shape than the first image, or the second pass yields
        a different number of images.
    """
    count = 0
    sums = compensations = np.empty(0)
    shape: tuple[int, ...] = ()
    for image in images:
        if count == 0:
            shape = image.shape
            sums, compensations = np.zeros(image.size), np.zeros(image.size)
        pixel_sums.add_by_kahan(_checked_pixels(image, shape, count), sums, compensations)
        count += 1
    if count <= ddof:
        raise DataError(f"the statistics need at least {ddof + 1} images, got {count}")
    mean = sums / count
    sums, compensations = np.zeros_like(mean), np.zeros_like(mean)
    again = 0
    for image in images:
        pixels = _checked_pixels(image, shape, again)
        pixel_sums.add_squares_by_kahan(pixels, mean, sums, compensations)
        again += 1
    if again != count:
        raise ValueError(f"the first pass had {count} images and the second {again}")
    deviation = np.sqrt(sums / (count - ddof))
    return PixelStatistics(mean.reshape(shape), deviation.reshape(shape), count)


def _checked_pixels(
    image: NDArray[np.generic], shape: tuple[int, ...], number: int
) -> NDArray[np.generic]:
    """Return an image's pixels as a flat array, or raise an error that names the image."""
    if image.dtype not in _DTYPES:
        raise ValueError(f"image {number}: dtype {image.dtype} is not uint8, uint16 or float32")
    if image.shape != shape:
        raise ValueError(f"image {number}: shape {image.shape} is not {shape}")
    pixels = np.ascontiguousarray(image).reshape(-1)
    if pixels.dtype == np.float32:
        refuse_what_is_no_number(pixels, (1, *shape), lambda _: f"image {number}")
    return pixels
