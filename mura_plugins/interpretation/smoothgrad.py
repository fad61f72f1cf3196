"""SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825).

Where the logit is sensitive to single pixels, averaged over noisy copies of the image. It says
neither in which direction they count, nor how much they did: `toward` changes nothing.
"""

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network


def explain(
    network: Network, images: NDArray[np.generic], *, toward: int, seed: int
) -> NDArray[np.float32]:
    """Return the size of the mean gradient, in logits a grey level, of the image's own size.

    The parameters are those of `gradcam`; `seed` is the noise's, the same for every image. Its
    deviation is 0.15 of an image's range of levels.
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
