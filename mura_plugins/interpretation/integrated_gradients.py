"""Integrated gradients (Sundararajan, Taly and Yan 2017, ICML, arXiv:1703.01365).

Pixel by pixel, and complete: a map sums to the difference between the image's logit and that of
the mean training image. What it marks depends on that choice of a baseline, and it is grainy.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return signed maps of the image's own size that sum to the difference of logits.

    The parameters are those of `gradcam`. The path from the baseline is straight, in 32 steps.
    """
    difference = images.astype(np.float32) - network.baseline  # (N, H, W)
    gradients = np.zeros(images.shape, np.float64)
    for step in range(_STEPS):
        share = (step + 0.5) / _STEPS  # the midpoint rule
        gradients += network.pixel_gradients(network.baseline + share * difference)
    return (toward * difference * gradients / _STEPS).astype(np.float32)


_STEPS = 32
