"""The convolutional networks of the 2019 report (sections 5.2.1 to 5.2.3)."""

import keras
from keras import layers


def conv4(input_shape: tuple[int, int, int], dropout: float = 0.5) -> keras.Model:
    """Return the report's last and best network, section 5.2.3.

    The report ended in a sigmoid; here its logit is the output, which is the same network.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1); the report used (224, 224, 1).
    dropout : float
        Share of the dense layer's units dropped in training.
    """
    inputs = keras.Input(input_shape)
    features = inputs
    for number, filters in enumerate((2, 4, 8, 16, 32), start=1):
        features = _block(features, filters, name=f"block{number}")
    features = layers.Flatten(name="flatten")(features)
    features = layers.Dense(64, activation="relu", name="dense")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    logit = layers.Dense(1, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logit, name="conv4")


def _block(features: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    features = layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv")(features)
    features = layers.BatchNormalization(name=f"{name}_norm")(features)
    features = layers.ReLU(name=f"{name}_relu")(features)
    return layers.MaxPooling2D(2, name=f"{name}_pool")(features)
