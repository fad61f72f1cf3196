"""The cell map, an output of networks that are trained on boxes of findings.

Unlike post-hoc explanations, the map is a part of the network: its highest cells contribute to the
image's logit. It requires a network with a layer named `cells`.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import NotApplicable
from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the score of each cell, `log(1 + exp(logit))`.

    The logits of most cells are far below 0, even inside a finding that the network detects. The
    function preserves their order and is close to 0 for very negative logits.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
    toward : int
        1 for cells inside a finding, -1 for cells outside.
    seed : int
        Not used: the method is deterministic.

    Returns
    -------
    ndarray of shape (N, h, w), float32, not negative

    Raises
    ------
    NotApplicable
        The network has no layer named `cells`.
    """
    if "cells" not in network.layer_names:
        raise NotApplicable(
            "the network has no layer named cells",
            "Train one that has it, such as --model efficientnet-lite0 --model-option cells=true.",
        )
    cells = network.output_of("cells", images)[..., 0]
    return np.logaddexp(0, toward * cells).astype(np.float32)
