"""Residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition").

resnet18 and resnet34 are written here, since Keras has none so small: the paper's table 1 in
torchvision's variant (the first 3 x 3 of a stage has the stride; shortcuts that change shape are
projections by 1 x 1; no biases in convolutions). resnet50 is Keras' own.
"""

import keras
from keras import layers

from mura_models.cells import logit_with_cells
from mura_models.sizes import refuse_smaller

_FILTERS = (64, 128, 256, 512)  # table 1, of the four stages
_EPSILON, _MOMENTUM = 1e-5, 0.9  # of the normalisation, torchvision's


def resnet18(
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    dropout: float = 0.0,
    cells: bool = False,
) -> keras.Model:
    """Return the network of 18 layers.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), of any size from 32 x 32 pixels.
    width : float
        The share of the paper's filters. A quarter trains on a CPU.
    dropout : float
        Share of the features dropped in training, before the logit; the paper drops none.
    cells : bool
        Whether the logit comes from a map of cells, too, which learns from boxes of findings.
    """
    return residual_network(
        input_shape, (2, 2, 2, 2), width=width, dropout=dropout, cells=cells, name="resnet18"
    )


def resnet34(
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    dropout: float = 0.0,
    cells: bool = False,
) -> keras.Model:
    """Return the network of 34 layers; the parameters are those of `resnet18`."""
    return residual_network(
        input_shape, (3, 4, 6, 3), width=width, dropout=dropout, cells=cells, name="resnet34"
    )


def resnet50(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return `keras.applications.ResNet50`, untrained, for (H, W, 1) images from 32 x 32 pixels."""
    refuse_smaller(input_shape, 32, "resnet50")
    backbone = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=input_shape, pooling="avg"
    )
    logit = layers.Dense(1, dtype="float32", name="logit")(backbone.output)
    return keras.Model(backbone.input, logit, name="resnet50")


def residual_network(
    input_shape: tuple[int, int, int],
    blocks: tuple[int, int, int, int],
    outputs: int = 1,
    width: float = 1.0,
    dropout: float = 0.0,
    cells: bool = False,
    name: str = "resnet",
) -> keras.Model:
    """Return a network of basic blocks, two 3 x 3 convolutions each.

    Parameters
    ----------
    input_shape : tuple
        (H, W, channels).
    blocks : tuple of int
        Of each stage.
    outputs : int
        Logits; the paper's networks have 1,000.
    width, dropout, cells
        As of `resnet18`.
    """
    inputs = keras.Input(input_shape)
    widths = [max(1, round(filters * width)) for filters in _FILTERS]
    features = _convolved(inputs, widths[0], 7, stride=2, name="stem")
    features = layers.ReLU(name="stem_relu")(features)
    features = layers.ZeroPadding2D(1, name="stem_pool_padding")(features)
    features = layers.MaxPooling2D(3, strides=2, name="stem_pool")(features)
    ends = []  # of the stages: 1/4, 1/8, 1/16 and 1/32 of the image's side
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            stride = 2 if block == 1 and stage > 1 else 1
            features = _basic_block(features, filters, stride, name=f"stage{stage}_block{block}")
        ends.append(features)
    features = layers.GlobalAveragePooling2D(name="mean")(features)
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    if cells:
        logits = logit_with_cells(ends[2], ends[3], features)
    else:
        logits = layers.Dense(outputs, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logits, name=name)


def _basic_block(
    features: keras.KerasTensor, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = features
    if stride > 1 or features.shape[-1] != filters:
        shortcut = _convolved(features, filters, 1, stride, name=f"{name}_shortcut")
    features = _convolved(features, filters, 3, stride, name=f"{name}_1")
    features = layers.ReLU(name=f"{name}_1_relu")(features)
    features = _convolved(features, filters, 3, 1, name=f"{name}_2")
    features = layers.Add(name=f"{name}_add")([features, shortcut])
    return layers.ReLU(name=f"{name}_relu")(features)


def _convolved(
    features: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    """Convolve with zeros on all sides, and normalise."""
    if kernel > 1:
        # Not padding="same", which with a stride pads one side more than the other.
        features = layers.ZeroPadding2D(kernel // 2, name=f"{name}_padding")(features)
    features = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        use_bias=False,
        # He et al. 2015, "Delving Deep into Rectifiers", by outputs, as torchvision has it.
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=f"{name}_conv",
    )(features)
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(
        features
    )
