"""Separable weighted sums of pixels in NumPy, for use if `_resize` isn't compiled."""

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
    """Write weighted sums of the image's rows and columns to `out`, rounded if it is uint8.

    Output row i is the sum of the input rows starting at `first_row[i]`, weighted by
    `row_weights[i]`; columns likewise.
    """
    rows = _weighted_rows(image.astype(np.float32), first_row, row_weights)
    levels = _weighted_rows(np.ascontiguousarray(rows.T), first_column, column_weights).T
    # Levels are at least 0, so truncation after adding 0.5 rounds half up.
    out[:] = (levels + np.float32(0.5)).astype(np.uint8) if out.dtype == np.uint8 else levels


def _weighted_rows(image: Levels, first: NDArray[np.intp], weights: Levels) -> Levels:
    # The same order as in the extension, in float32, without fused multiply-add.
    sums = weights[:, :1] * image[first]
    for tap in range(1, weights.shape[1]):
        sums += weights[:, tap : tap + 1] * image[first + tap]
    return sums
