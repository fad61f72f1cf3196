"""VGG's pattern, scaled to large grey radiographs (Simonyan and Zisserman 2015)."""

import keras
from keras import layers

from mura_models.sizes import refuse_smaller

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # table 1, configuration D
_UNITS = 4096  # of each of the two hidden dense layers


def vgg_like(
    input_shape: tuple[int, int, int], width: float = 0.125, dropout: float = 0.5
) -> keras.Model:
    """Return VGG16's pattern with a share of its filters, as the 2019 report's "inspired by VGG16".

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1); the report's images were 512 x 512. At least 32 x 32 pixels.
    width : float
        The share of VGG16's filters and units. The report doesn't say what its own was. An eighth
        has 8.9 million weights at 512 x 512, and trains on a CPU or in a fraction of 8 GB. A
        half fits 8 GB with batches of 8: counted, not measured, its weights with their gradients
        and Adam's moments are 2.3 GB, its features 1.3 GB. The whole doesn't: its weights alone
        come to 9.1 GB.
    dropout : float
        Share of the dense layers' units dropped in training.
    """
    refuse_smaller(input_shape, 32, "vgg-like")
    inputs = keras.Input(input_shape)
    features = inputs
    for number, (filters, convolutions) in enumerate(_BLOCKS, start=1):
        for convolution in range(1, convolutions + 1):
            features = layers.Conv2D(
                max(1, round(filters * width)),
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",  # He et al. 2015: else so deep a stack fades
                name=f"block{number}_conv{convolution}",
            )(features)
        features = layers.MaxPooling2D(2, name=f"block{number}_pool")(features)
    features = layers.Flatten(name="flatten")(features)
    for number in (1, 2):
        features = layers.Dense(
            max(1, round(_UNITS * width)),
            activation="relu",
            kernel_initializer="he_normal",
            name=f"dense{number}",
        )(features)
        features = layers.Dropout(dropout, name=f"dropout{number}")(features)
    logit = layers.Dense(1, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logit, name="vgg_like")
