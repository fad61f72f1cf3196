"""SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825).

The sensitivity of the logit to single pixels, averaged over noisy copies of the image. It shows
neither the direction nor the size of a pixel's contribution, so `toward` has no effect.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the absolute mean gradient, in logits per grey level.

    The standard deviation of the noise is 0.15 of the image's range of grey levels.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
    toward : int
        Not used: the result has no direction.
    seed : int
        Seed of the noise, which is the same for every image.

    Returns
    -------
    ndarray of shape (N, H, W), float32, not negative
    """
    random = np.random.default_rng(seed)
    images = images.astype(np.float32)
    spread = _NOISE * np.ptp(images, axis=(1, 2), keepdims=True)
    total = np.zeros(images.shape, np.float64)
    for _ in range(_COPIES):
        noise = random.standard_normal(images.shape[1:], np.float32)
        total += network.pixel_gradients(images + spread * noise)
    return np.abs(total / _COPIES).astype(np.float32)


_COPIES = 25
_NOISE = 0.15  # section 3.2
