"""RISE (Petsiuk, Das and Saenko 2018, BMVC, arXiv:1806.07421).

The image is seen through 500 random masks; a place counts by how high the logit is when it is
seen. It asks nothing of the network, but is noisy, and takes 500 predictions an image.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps of the image's own size (equation 6 of the paper).

    The parameters are those of `gradcam`; `seed` is the masks', the same for every image. NOTE:
    the logit's mean over the masks is taken off, so that 0 means that seeing a place or not makes
    no difference.
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
_SEEN = 0.5  # of the cells
_AT_ONCE = 20


def _masks(shape: tuple[int, ...], seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield masks (H, W): random cells, enlarged smoothly and shifted by less than a cell."""
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
