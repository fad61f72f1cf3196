"""Occlusion (Zeiler and Fergus 2014, ECCV, arXiv:1311.2901).

The decrease of the logit when a square of the image is replaced with the mean training image. The
side of a square is a seventh of the image's side. A finding that is visible in two places can be
missed, because hiding one of them has little effect.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps of 14 x 14 positions: the decrease of the logit when each is hidden.

    The hidden squares are twice as wide as the spacing of the positions.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
    toward : int
        1 for evidence that the image is abnormal, -1 that it is normal.
    seed : int
        Not used: the method is deterministic.

    Returns
    -------
    ndarray of shape (N, 14, 14), float32
    """
    height, width = images.shape[1:]
    rows, columns = _places(height), _places(width)
    whole = network.logits(images)
    maps = []
    for image, logit in zip(images, whole, strict=True):
        masks = (_hiding(image.shape, row, column) for row in rows for column in columns)
        fallen = logit - network.logits_through(image, masks)
        maps.append(toward * fallen.reshape(len(rows), len(columns)))
    return np.stack(maps).astype(np.float32)


_PLACES = 14


def _places(length: int) -> list[slice]:
    place = length / _PLACES
    return [
        slice(max(0, round((index - 0.5) * place)), round((index + 1.5) * place))
        for index in range(_PLACES)
    ]


def _hiding(shape: tuple[int, ...], rows: slice, columns: slice) -> NDArray[np.float32]:
    mask = np.ones(shape, np.float32)
    mask[rows, columns] = 0
    return mask
