"""The map of cells that some networks give by themselves, learned from boxes of findings.

It isn't computed after the fact from the network's evidence: it is a part of the network, whose
highest cells make up the image's logit. It is defined for networks with a layer named `cells` only.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import NotApplicable
from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return how surely each cell lies in a finding, as `log(1 + exp(logit))`.

    Most cells' logits are far below 0 even in a finding that the network sees; the function keeps
    their order and is 0 where the network is sure that there is nothing.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
    toward : int
        1 for cells in a finding, -1 for cells outside.
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
            "Train one that has, such as --model efficientnet-lite0 --model-option cells=true.",
        )
    cells = network.output_of("cells", images)[..., 0]
    return np.logaddexp(0, toward * cells).astype(np.float32)
