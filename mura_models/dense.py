"""The fully connected network of the 2019 report."""

import keras
from keras import layers


def dense(
    input_shape: tuple[int, int, int],
    units: tuple[int, ...] = (512, 64, 32),
    dropout: float = 0.5,
) -> keras.Model:
    """Return a fully connected network, as in the report's code.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1); the report used (224, 224, 1), which gives 25.7 million weights.
    units : tuple of int
        Number of units of each hidden layer.
    dropout : float
        Dropout rate after the last hidden layer.
    """
    inputs = keras.Input(input_shape)
    features = layers.Flatten(name="flatten")(inputs)
    for number, count in enumerate(units, start=1):
        features = layers.Dense(count, activation="relu", name=f"dense{number}")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    logit = layers.Dense(1, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logit, name="dense")
