"""Score-CAM (Wang et al. 2020, CVPR workshops, arXiv:1910.01279).

A channel's weight is the softmax of the logit for the image masked with that channel; no gradients
are used. It needs one prediction per channel, so it is slow on wide networks. Images under soft
masks differ from all training images.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return Score-CAM maps (algorithm 1 of the paper).

    Masked regions show the mean training image.

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
    features, _, _ = network.gradients(images)
    return np.stack(
        [_map(network, image, own, toward) for image, own in zip(images, features, strict=True)]
    )


def _map(
    network: Network, image: NDArray[np.generic], features: NDArray[np.float32], toward: int
) -> NDArray[np.float32]:
    import tensorflow as tf

    lowest = features.min(axis=(0, 1))
    spans = np.ptp(features, axis=(0, 1))
    # A constant channel can't be normalised to a mask, so it is left out.
    uneven = np.flatnonzero(spans > 0)
    if len(uneven) == 0:
        return np.zeros(features.shape[:2], np.float32)
    masks = (
        tf.image.resize((features[..., one, None] - lowest[one]) / spans[one], image.shape).numpy()
        for one in uneven
    )
    scores = toward * network.logits_through(image, (mask[..., 0] for mask in masks))
    weights = np.exp(scores - scores.max())  # the paper's softmax over features
    weights /= weights.sum()
    return np.maximum(features[..., uneven] @ weights.astype(np.float32), 0)
