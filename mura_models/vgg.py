"""A narrow VGG16 for large grey radiographs (Simonyan and Zisserman 2015)."""

import keras
from keras import layers

from mura_models.sizes import refuse_smaller

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # table 1, configuration D
_UNITS = 4096  # in each of the two hidden dense layers


def vgg_like(
    input_shape: tuple[int, int, int], width: float = 0.125, dropout: float = 0.5
) -> keras.Model:
    """Return VGG16 with fewer filters, the 2019 report's network "inspired by VGG16".

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels; the report used 512 x 512.
    width : float
        Share of VGG16's filters and units. The report doesn't give it. With 1/8, the network has
        8.9 million weights at 512 x 512 pixels and trains on a CPU or in a fraction of 8 GB. With
        1/2, it fits into 8 GB in batches of 8: by calculation, not measurement, weights, gradients
        and Adam's moments take 2.3 GB, features 1.3 GB. The full width doesn't fit: its weights
        with gradients and moments take 9.1 GB.
    dropout : float
        Dropout rate after each hidden dense layer.
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
                # He et al. 2015: with other initialisers the signal vanishes in deep networks.
                kernel_initializer="he_normal",
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
