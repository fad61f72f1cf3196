"""Inpaint hidden pixels from their surroundings."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

# Weights of a pixel's eight neighbours: adjacent, and diagonal.
_BESIDE, _ACROSS = 1 / 6, 1 / 12
_STEPS = [step for step in product((-1, 0, 1), repeat=2) if step != (0, 0)]


def fill(image: NDArray[np.generic], hidden: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return an image whose hidden pixels are the weighted means of their eight neighbours.

    All hidden pixels are solved for at once, so that levels change smoothly across a hidden region.
    This is the noisy linear imputation of Rong et al. 2022 (ICML, arXiv:2202.00449), without the
    noise.

    Parameters
    ----------
    image : ndarray of shape (H, W)
        Grey levels.
    hidden : ndarray of shape (H, W), bool
        The pixels to inpaint. At least one pixel must be False.

    Returns
    -------
    ndarray of shape (H, W), float32
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    filled = image.astype(np.float32)
    count = int(hidden.sum())
    if count == 0:
        return filled
    # Pad with pixels that are neither known nor hidden, so that borders need no special case.
    number = np.full(np.add(image.shape, 2), -1)
    number[1:-1, 1:-1][hidden] = np.arange(count)
    known = np.zeros(number.shape, bool)
    known[1:-1, 1:-1] = ~hidden
    levels = np.zeros(number.shape)
    levels[1:-1, 1:-1] = image
    rows, columns = (places + 1 for places in np.nonzero(hidden))
    diagonal, right = np.zeros(count), np.zeros(count)
    entries = []
    for down, across in _STEPS:
        weight = _BESIDE if 0 in (down, across) else _ACROSS
        there = rows + down, columns + across
        neighbour = number[there]
        is_hidden = neighbour >= 0
        diagonal += weight * (is_hidden | known[there])
        right += weight * known[there] * levels[there]
        entries.append((np.flatnonzero(is_hidden), neighbour[is_hidden], -weight))
    own = np.arange(count)
    matrix = csc_matrix(
        (
            np.concatenate([np.full(len(at), value) for at, _, value in entries] + [diagonal]),
            (
                np.concatenate([at for at, _, _ in entries] + [own]),
                np.concatenate([neighbour for _, neighbour, _ in entries] + [own]),
            ),
        ),
        shape=(count, count),
    )
    # The matrix is symmetric and diagonally dominant, so no pivoting is needed.
    solver = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    filled[hidden] = solver.solve(right)
    return filled
