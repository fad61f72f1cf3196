"""Networks whose evidence is known because it was planted."""

import keras
import numpy as np
from keras import layers


def linear(weights: np.ndarray, bias: float = 0.0) -> keras.Model:
    """A network whose logit is a weighted sum of the pixels."""
    inputs = keras.Input((*weights.shape, 1))
    # The identity, so that there is a convolution to look at.
    copied = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(inputs)
    unit = layers.Dense(1)
    model = keras.Model(inputs, unit(layers.Flatten()(copied)))
    unit.set_weights([weights.reshape(-1, 1).astype(np.float32), np.float32([bias])])
    return model
