"""The images whose ImageNet logits are kept in `peers/efficientnet_lite.npz`."""

import numpy as np


def levels(height: int, width: int, channels: int) -> np.ndarray:
    """Return an image (H, W, channels) of coarse random squares, levels 0 to 255."""
    squares = np.random.default_rng(2019).integers(0, 256, (height, width, channels))
    return np.kron(squares, np.ones((9, 9, 1)))[:height, :width].astype(np.float32)


# Odd sides: where "same" padding lies shows.
CASES = {
    "lite0_colour": ("lite0", levels(161, 127, 3)),
    "lite0_grey": ("lite0", levels(96, 131, 1)),
    "lite1_grey": ("lite1", levels(96, 131, 1)),
    "lite2_grey": ("lite2", levels(96, 131, 1)),
}
