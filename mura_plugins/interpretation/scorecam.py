"""Score-CAM (Wang et al. 2020, CVPR workshops, arXiv:1910.01279).

A feature's weight is how high the logit is when the image is seen through the feature, without
any gradient. It takes a prediction for each feature, so it is slow on wide networks; and an image
seen through a soft mask is like none that the network was trained on.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return Score-CAM maps (algorithm 1 of the paper).

    The parameters are those of `gradcam`. What a mask hides shows the mean training image.
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
    # A feature that is the same all over hides nothing and shows nothing: it has no say.
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
