"""HiResCAM (Draelos and Carin 2020, arXiv:2011.08891).

Gradients and features are multiplied place by place before they are summed, so that only places
are marked that raised the logit. Where a network isn't linear behind the layer, that holds for
small changes alone.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the positive part of HiResCAM maps of the logit.

    The parameters are those of `gradcam`.
    """
    features, gradients, _ = network.gradients(images)
    return np.maximum(toward * np.einsum("nhwc,nhwc->nhw", features, gradients), 0)
