"""Class activation maps (Zhou et al. 2016, CVPR, arXiv:1512.04150).

CAM is exact, but only defined for networks whose logit is a weighted mean of the last features.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import NotApplicable
from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the positive part of the weighted sum of features, whose mean is the logit.

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

    Raises
    ------
    NotApplicable
        The network doesn't end in global average pooling and one unit.
    """
    weights = network.pooled_weights
    if weights is None:
        raise NotApplicable(
            "the network doesn't end in global average pooling and one unit, which CAM requires",
            "Train conv4-gap or a ResNet, or use gradcam.",
        )
    features, _, _ = network.gradients(images)
    return np.maximum(toward * (features @ weights), 0)
