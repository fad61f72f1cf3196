"""A small network without normalisation, which trains fast on a CPU."""

import keras
from keras import layers


def build(input_shape: tuple[int, int, int], width: int = 16) -> keras.Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1).
    width : int
        Channels of the first convolution; each further one doubles them.
    """
    inputs = keras.Input(input_shape)
    features = inputs
    for number in range(3):
        features = layers.Conv2D(width * 2**number, 3, strides=2, padding="same")(features)
        features = layers.ReLU()(features)
    pooled = layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, layers.Dense(1, name="logit")(pooled))
