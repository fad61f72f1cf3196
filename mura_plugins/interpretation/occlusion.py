"""Occlusion (Zeiler and Fergus 2014, ECCV, arXiv:1311.2901).

How much the logit falls when a square of the image is replaced by the mean training image. It
shows what the network used, in squares of a seventh of the side; a finding that can be seen in
two places is missed, since hiding one of them changes little.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps of 14 x 14 places: the logit less that without the place.

    The parameters are those of `gradcam`. The squares are twice as wide as their places.
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
