"""RISE (Petsiuk, Das and Saenko 2018, BMVC, arXiv:1806.07421).

The image is masked with 500 random masks. The value of a pixel is the mean logit over the masks
that show it. The method works with any network, but is noisy and needs 500 predictions per image.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps (equation 6 of the paper).

    NOTE: the mean logit over all masks is subtracted, so that 0 means that showing a pixel makes
    no difference.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
    toward : int
        1 for evidence that the image is abnormal, -1 that it is normal.
    seed : int
        Seed of the masks, which are the same for every image.

    Returns
    -------
    ndarray of shape (N, H, W), float32
    """
    maps = []
    for image in images:
        logits = network.logits_through(image, _masks(image.shape, seed)).astype(np.float64)
        total = np.zeros(image.shape, np.float64)
        for mask, logit in zip(_masks(image.shape, seed), logits - logits.mean(), strict=True):
            total += logit * mask
        maps.append(toward * total / (_MASKS * _SEEN))
    return np.stack(maps).astype(np.float32)


_MASKS = 500
_GRID = 8  # cells along a side, as in the paper
_SEEN = 0.5  # share of cells that are shown
_AT_ONCE = 20


def _masks(shape: tuple[int, ...], seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield masks (H, W): random grids, upsampled bilinearly and shifted by less than a cell."""
    import tensorflow as tf

    random = np.random.default_rng(seed)
    height, width = shape
    cell = (-(-height // _GRID), -(-width // _GRID))
    larger = [(_GRID + 1) * side for side in cell]
    for first in range(0, _MASKS, _AT_ONCE):
        count = min(_AT_ONCE, _MASKS - first)
        cells = random.random((count, _GRID + 1, _GRID + 1, 1)) < _SEEN
        tops, lefts = (random.integers(side, size=count) for side in cell)
        smooth = tf.image.resize(cells.astype(np.float32), larger).numpy()[..., 0]
        for mask, top, left in zip(smooth, tops, lefts, strict=True):
            yield mask[top : top + height, left : left + width]
