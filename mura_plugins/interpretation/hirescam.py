"""HiResCAM (Draelos and Carin 2020, arXiv:2011.08891).

Gradients and features are multiplied at each position before they are summed over channels, so the
map only shows positions that increased the logit. If the network isn't linear after the layer, this
holds only for small changes.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the positive part of HiResCAM maps of the logit.

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
    return np.maximum(toward * np.einsum("nhwc,nhwc->nhw", features, gradients), 0)
