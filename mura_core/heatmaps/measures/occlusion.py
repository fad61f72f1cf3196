"""Logits of an image with random squares hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network

_SQUARES = 40
_LEAST_SIDE, _GREATEST_SIDE = 1 / 14, 1 / 3  # side of a hidden square, as a share of the image's


@dataclass(frozen=True)
class Occluded:
    """A network's logits for an image, whole and with squares hidden.

    Hidden pixels show the mean training image, `Network.baseline`.

    Attributes
    ----------
    network : Network
        The network that predicted the logits.
    logit : float
        Logit of the whole image.
    baseline_logit : float
        Logit of the mean training image.
    squares : list of (slice, slice)
        Rows and columns of the hidden squares.
    drops : ndarray of shape (squares,), float64
        Logit of the whole image minus that with the square hidden.
    seed : int
        Random seed for the measures of every map of this image.
    """

    network: Network
    logit: float
    baseline_logit: float
    squares: list[tuple[slice, slice]]
    drops: NDArray[np.float64]
    seed: int


def occlude(network: Network, image: NDArray[np.uint8], seed: int) -> Occluded:
    """Return a network's logits for an image with 40 random squares hidden, one at a time.

    Parameters
    ----------
    network : Network
        The network to predict with.
    image : ndarray of shape (H, W), uint8
        The image to hide squares of.
    seed : int
        Random seed of the squares.

    Returns
    -------
    Occluded
    """
    random = np.random.default_rng(seed)
    squares = [_square(image.shape, random) for _ in range(_SQUARES)]
    masks = np.ones((_SQUARES, *image.shape), np.float32)
    for mask, square in zip(masks, squares, strict=True):
        mask[square] = 0
    ends = np.stack([image.astype(np.float32), network.baseline])
    logit, baseline_logit = (float(one) for one in network.logits(ends))
    drops = logit - network.logits_through(image, masks).astype(np.float64)
    return Occluded(network, logit, baseline_logit, squares, drops, seed)


def _square(shape: tuple[int, ...], random: np.random.Generator) -> tuple[slice, slice]:
    share = random.uniform(_LEAST_SIDE, _GREATEST_SIDE)
    sides = [max(1, round(share * length)) for length in shape]
    starts = [
        int(random.integers(0, length - side + 1))
        for length, side in zip(shape, sides, strict=True)
    ]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns
