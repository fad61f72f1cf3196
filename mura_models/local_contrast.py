"""Local contrast normalisation: every part of a radiograph at the same brightness and contrast."""

import keras
from keras import layers

_WINDOWS = 8  # along a side
_STEPS = 5  # along a window: statistics are taken on this grid, and interpolated between
_FLOOR = 0.2  # of the deviation: below it there is noise alone, which isn't amplified


def with_local_contrast(images: keras.KerasTensor) -> keras.KerasTensor:
    """Return images less the mean around each pixel, divided by the deviation around it.

    The window is an eighth of the image's side (Jarrett et al. 2009, "What is the best multi-stage
    architecture for object recognition?", section 3.1, with a box for their Gaussian). What is
    divided by is the root of the variance plus 0.2 squared.

    Parameters
    ----------
    images : KerasTensor of shape (N, H, W, 1)
        Standardised: of mean 0 and deviation 1 over the training images.

    Returns
    -------
    KerasTensor of shape (N, H, W, 1), float32
    """
    height, width = images.shape[1:3]
    step = max(1, height // (_WINDOWS * _STEPS))

    def around(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
        means = layers.AveragePooling2D(
            _STEPS * step, step, padding="same", dtype="float32", name=f"local_{name}_pool"
        )(features)
        return layers.Resizing(height, width, dtype="float32", name=f"local_{name}")(means)

    difference = layers.Subtract(dtype="float32", name="local_difference")(
        [images, around(images, "mean")]
    )
    square = layers.Multiply(dtype="float32", name="local_square")([difference, difference])
    variance = around(square, "variance")
    return difference * keras.ops.rsqrt(variance + _FLOOR**2)
