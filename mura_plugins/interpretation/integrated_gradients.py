"""Integrated gradients (Sundararajan, Taly and Yan 2017, ICML, arXiv:1703.01365).

Each map has pixel resolution and sums to the difference between the logit of the image and that of
the baseline, the mean training image. Maps depend on this choice of baseline, and are noisy.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps that sum to the difference of the logits of image and baseline.

    The path from the baseline is a straight line with 32 steps.

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
    ndarray of shape (N, H, W), float32
    """
    difference = images.astype(np.float32) - network.baseline  # (N, H, W)
    gradients = np.zeros(images.shape, np.float64)
    for step in range(_STEPS):
        share = (step + 0.5) / _STEPS  # the midpoint rule
        gradients += network.pixel_gradients(network.baseline + share * difference)
    return (toward * difference * gradients / _STEPS).astype(np.float32)


_STEPS = 32
