"""Grad-CAM (Selvaraju et al. 2017, ICCV, arXiv:1610.02391).

It shows which regions provide the evidence, at the resolution of one layer. It shows neither fine
detail nor evidence against the requested direction.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return Grad-CAM maps of the logit (equations 1 and 2 of the paper).

    The logit is explained instead of the probability, whose gradient vanishes if the network is
    confident.

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
    ndarray of shape (N, h, w), float32, not negative
    """
    features, gradients, _ = network.gradients(images)
    weights = toward * gradients.mean(axis=(1, 2))  # (N, channels)
    weighted_sum = np.einsum("nhwc,nc->nhw", features, weights)
    return np.maximum(weighted_sum, 0)
