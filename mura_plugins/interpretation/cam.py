"""Class activation maps (Zhou et al. 2016, CVPR, arXiv:1512.04150).

They are exact, and defined for networks alone whose logit is a weighted mean of their last
features: any other has no such weights.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import NotApplicable
from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the positive part of the features' weighted sum, of which the logit is the mean.

    The parameters are those of `gradcam`.

    Raises
    ------
    NotApplicable
        The network doesn't end in global average pooling and one unit.
    """
    weights = network.pooled_weights
    if weights is None:
        raise NotApplicable(
            "the network doesn't end in global average pooling and one unit, whose weights CAM is",
            "Train conv4-gap or a ResNet, or explain by gradcam.",
        )
    features, _, _ = network.gradients(images)
    return np.maximum(toward * (features @ weights), 0)
