"""Grad-CAM++ (Chattopadhyay et al. 2018, WACV, arXiv:1710.11063).

It weights each position of a channel separately, to show several findings in one image. The weights
are derived for the exponential of the logit and aren't justified by the network's computation
(Lerma and Lucas 2022, arXiv:2205.10838, find them close to the positive gradients).
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return Grad-CAM++ maps of the logit (equations 10, 11 and 19 of the paper).

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
    gradients = toward * gradients
    squares, cubes = gradients**2, gradients**3
    sums = features.sum(axis=(1, 2), keepdims=True)  # (N, 1, 1, channels)
    divisor = 2 * squares + sums * cubes
    shares = np.divide(squares, divisor, out=np.zeros_like(squares), where=divisor != 0)
    weights = (shares * np.maximum(gradients, 0)).sum(axis=(1, 2))  # (N, channels)
    return np.maximum(np.einsum("nhwc,nc->nhw", features, weights), 0)
