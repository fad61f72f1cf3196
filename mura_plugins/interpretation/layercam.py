"""LayerCAM (Jiang et al. 2021, IEEE Transactions on Image Processing 30).

Like HiResCAM, but places whose gradient is negative are left out, which makes maps of earlier,
finer layers usable. What speaks against the asked direction is never seen.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return LayerCAM maps of the logit (equations 5 and 6 of the paper).

    The parameters are those of `gradcam`.
    """
    features, gradients, _ = network.gradients(images)
    weights = np.maximum(toward * gradients, 0)
    return np.maximum(np.einsum("nhwc,nhwc->nhw", features, weights), 0)
