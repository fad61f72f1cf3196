"""Per-pixel sums over images in NumPy, for use if `_pixel_sums` isn't compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def add_integers(
    images: NDArray[np.uint8] | NDArray[np.uint16],
    total: NDArray[np.uint64],
    total_of_squares: NDArray[np.uint64],
    instructions: int,
) -> None:
    """Add images (N, pixels) and their squares to the exact totals (pixels,), in place."""
    for image in images:
        pixels = image.astype(np.uint64)
        total += pixels
        total_of_squares += pixels * pixels


def add_reals(
    pixels: NDArray[np.float32],
    total: Reals,
    total_of_squares: Reals,
    beyond: Reals,
    instructions: int,
) -> bool:
    """Add one image and its squares to totals in pairs; return whether `beyond` has a nonzero."""
    terms = pixels.astype(np.float64)
    any_beyond = add_to_pairs(terms, total, beyond[0])
    return add_to_pairs(terms * terms, total_of_squares, beyond[1]) or any_beyond


def add_to_pairs(terms: Reals, total: Reals, beyond: Reals) -> bool:
    """Add terms (pixels,) to totals in pairs (2, pixels); return whether `beyond` has a nonzero."""
    total[0], lost = _two_sum(total[0].copy(), terms)
    total[1], beyond[:] = _two_sum(total[1].copy(), lost)
    return bool(beyond.any())


def _two_sum(a: Reals, b: Reals) -> tuple[Reals, Reals]:
    """Return a + b, rounded, and the rounding error (Knuth, section 4.2.2, theorem B)."""
    rounded = a + b
    of_b = rounded - a
    return rounded, (a - (rounded - of_b)) + (b - of_b)


def nearest_deviations(
    count: int,
    divisor: int,
    total: NDArray[np.uint64],
    total_of_squares: NDArray[np.uint64],
    out: Reals,
) -> None:
    """Write -1 for every deviation, so that the caller computes them by exact arithmetic."""
    out[:] = -1


def add_by_kahan(pixels: NDArray[np.generic], sums: Reals, compensations: Reals) -> None:
    """Add one image to Kahan sums, in place."""
    _add_by_kahan(pixels.astype(np.float64), sums, compensations)


def add_squares_by_kahan(
    pixels: NDArray[np.generic], mean: Reals, sums: Reals, compensations: Reals
) -> None:
    """Add one image's squared differences from the mean to Kahan sums, in place."""
    difference = pixels.astype(np.float64) - mean
    _add_by_kahan(difference * difference, sums, compensations)


def _add_by_kahan(terms: Reals, sums: Reals, compensations: Reals) -> None:
    mended = terms - compensations
    following = sums + mended
    compensations[:] = (following - sums) - mended
    sums[:] = following


def first_not_finite(pixels: NDArray[np.float32]) -> int:
    """Return the index of the first NaN or infinity, or -1 if there is none."""
    found = np.flatnonzero(~np.isfinite(pixels))
    return int(found[0]) if len(found) else -1
