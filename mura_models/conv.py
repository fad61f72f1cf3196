"""The convolutional networks of the 2019 report (sections 5.2.1 to 5.2.3), and one for CAM."""

import keras
from keras import layers

from mura_models.sizes import refuse_smaller


def conv2(input_shape: tuple[int, int, int], dropout: float = 0.5) -> keras.Model:
    """Return the report's first convolutional network, section 5.2.1: two convolutions.

    The report gives no further numbers. Chosen here: 4 and 8 filters of 3 x 3, each followed by
    4 x 4 pooling. A dense layer of 64 units, as in the report's later networks, then has 100,000
    weights at 224 x 224 pixels instead of a million.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 16 x 16 pixels.
    dropout : float
        Dropout rate after the dense layer.
    """
    refuse_smaller(input_shape, 16, "conv2")
    inputs = keras.Input(input_shape)
    features = inputs
    for number, filters in enumerate((4, 8), start=1):
        features = _plain_block(features, filters, 3, 4, name=f"block{number}")
    features = layers.Flatten(name="flatten")(features)
    features = layers.Dense(64, activation="relu", name="dense")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    return _with_logit(inputs, features, "conv2")


def conv3(input_shape: tuple[int, int, int], dropout: float = 0.5) -> keras.Model:
    """Return the report's second convolutional network, section 5.2.2.

    The report doesn't give the dropout rate; the default is that of its other networks.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 64 x 64 pixels.
    dropout : float
        Dropout rate before the dense layer.
    """
    refuse_smaller(input_shape, 64, "conv3")
    inputs = keras.Input(input_shape)
    features = inputs
    blocks = zip((2, 2, 4, 4, 8), (3, 3, 5, 5, 7), (2, 2, 2, 2, 4), strict=True)
    for number, (filters, kernel, pool) in enumerate(blocks, start=1):
        features = _plain_block(features, filters, kernel, pool, name=f"block{number}")
    features = layers.Flatten(name="flatten")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    features = layers.Dense(64, activation="relu", name="dense")(features)
    return _with_logit(inputs, features, "conv3")


def conv4(input_shape: tuple[int, int, int], width: int = 1, dropout: float = 0.5) -> keras.Model:
    """Return the report's last and best network, section 5.2.3.

    The report's network ends in a sigmoid; here the output is its logit.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels; the report used (224, 224, 1).
    width : int
        Multiple of the report's numbers of filters.
    dropout : float
        Dropout rate after the dense layer.
    """
    refuse_smaller(input_shape, 32, "conv4")
    inputs = keras.Input(input_shape)
    features = layers.Flatten(name="flatten")(_conv4_blocks(inputs, width))
    features = layers.Dense(64, activation="relu", name="dense")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    return _with_logit(inputs, features, "conv4")


def conv4_gap(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return conv4 with global average pooling and one unit instead of its dense layers.

    Class activation maps (Zhou et al. 2016, "Learning Deep Features for Discriminative
    Localization") are only defined for this kind of head.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels.
    """
    refuse_smaller(input_shape, 32, "conv4-gap")
    inputs = keras.Input(input_shape)
    features = layers.GlobalAveragePooling2D(name="mean")(_conv4_blocks(inputs))
    return _with_logit(inputs, features, "conv4_gap")


def _conv4_blocks(features: keras.KerasTensor, width: int = 1) -> keras.KerasTensor:
    for number, filters in enumerate((2, 4, 8, 16, 32), start=1):
        name = f"block{number}"
        features = layers.Conv2D(filters * width, 3, padding="same", name=f"{name}_conv")(features)
        features = layers.BatchNormalization(name=f"{name}_norm")(features)
        features = layers.ReLU(name=f"{name}_relu")(features)
        features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
    return features


def _plain_block(
    features: keras.KerasTensor, filters: int, kernel: int, pool: int, name: str
) -> keras.KerasTensor:
    features = layers.Conv2D(
        filters, kernel, padding="same", activation="relu", name=f"{name}_conv"
    )(features)
    return layers.MaxPooling2D(pool, name=f"{name}_pool")(features)


def _with_logit(inputs: keras.KerasTensor, features: keras.KerasTensor, name: str) -> keras.Model:
    logit = layers.Dense(1, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logit, name=name)
