"""LayerCAM (Jiang et al. 2021, IEEE Transactions on Image Processing 30).

Like HiResCAM, but without negative gradients, which makes maps of earlier, finer layers usable. It
doesn't show evidence against the requested direction.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return LayerCAM maps of the logit (equations 5 and 6 of the paper).

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
    weights = np.maximum(toward * gradients, 0)
    return np.maximum(np.einsum("nhwc,nhwc->nhw", features, weights), 0)
