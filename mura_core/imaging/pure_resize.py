"""Weighted sums of pixels, down and then across: `_resize` in NumPy, where it wasn't compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]


def weighted(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    first_row: NDArray[np.intp],
    row_weights: Levels,
    first_column: NDArray[np.intp],
    column_weights: Levels,
    out: Levels | NDArray[np.uint8],
    instructions: int,
) -> None:
    """Write to `out` the image's rows and columns, weighted, and rounded if it holds bytes.

    Row i is made of the rows from `first_row[i]` on, with `row_weights[i]`; columns likewise.
    """
    rows = _weighted_rows(image.astype(np.float32), first_row, row_weights)
    levels = _weighted_rows(np.ascontiguousarray(rows.T), first_column, column_weights).T
    # Levels from 0 to 255: cutting the fraction off rounds half up.
    out[:] = (levels + np.float32(0.5)).astype(np.uint8) if out.dtype == np.uint8 else levels


def _weighted_rows(image: Levels, first: NDArray[np.intp], weights: Levels) -> Levels:
    # In this order, in float32, without fused multiplication: as the extension does.
    sums = weights[:, :1] * image[first]
    for tap in range(1, weights.shape[1]):
        sums += weights[:, tap : tap + 1] * image[first + tap]
    return sums
