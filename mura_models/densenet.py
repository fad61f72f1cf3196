"""Densely connected networks (Huang et al. 2017), Keras' implementation with one grey channel."""

import keras
from keras import layers

# Not part of Keras' public API, but required for other block sizes; the version is pinned.
from keras.src.applications.densenet import DenseNet

from mura_models.sizes import refuse_smaller
from mura_plugins import PluginError


def densenet121(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return the DenseNet with 121 layers.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels.
    """
    return _dense_network(input_shape, (6, 12, 24, 16), "densenet121")  # table 1


def densenet169(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return the DenseNet with 169 layers, the MURA baseline (Rajpurkar et al. 2017), untrained.

    The baseline started from ImageNet weights; for these, use `keras:DenseNet169`.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels; the baseline used 320 x 320.
    """
    return _dense_network(input_shape, (6, 12, 32, 32), "densenet169")  # table 1


def densenet_small(
    input_shape: tuple[int, int, int], blocks: tuple[int, ...] = (3, 6, 12, 8)
) -> keras.Model:
    """Return a smaller DenseNet, as the 2019 report used when the larger one didn't fit its GPU.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels.
    blocks : tuple of int
        Number of layers in each of the four dense blocks. The report doesn't give them; the
        default is half of densenet121's.

    Raises
    ------
    PluginError
        There are not four blocks.
    """
    if len(blocks) != 4:
        counts = ",".join(map(str, blocks))
        raise PluginError(f"blocks={counts}: a DenseNet has four blocks, such as 3,6,12,8")
    return _dense_network(input_shape, blocks, "densenet-small")


def _dense_network(
    input_shape: tuple[int, int, int], blocks: tuple[int, ...], name: str
) -> keras.Model:
    refuse_smaller(input_shape, 32, name)
    backbone = DenseNet(
        list(blocks), include_top=False, weights=None, input_shape=input_shape, pooling="avg"
    )
    logit = layers.Dense(1, dtype="float32", name="logit")(backbone.output)
    return keras.Model(backbone.input, logit, name=name)
