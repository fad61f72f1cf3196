"""Residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition").

resnet18 and resnet34 are implemented here because Keras doesn't have them: table 1 of the paper in
torchvision's variant (stride in the first 3 x 3 convolution of a stage, 1 x 1 projections for
shortcuts that change the shape, no biases in convolutions). resnet50 is `keras.applications`'.
"""

import keras
from keras import layers

from mura_models.cells import logit_with_cells
from mura_models.local_contrast import with_local_contrast
from mura_models.sizes import refuse_smaller

_FILTERS = (64, 128, 256, 512)  # table 1, the four stages
_EPSILON, _MOMENTUM = 1e-5, 0.9  # batch normalisation as in torchvision


def resnet18(
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    dropout: float = 0.0,
    cells: bool = False,
    local_contrast: bool = False,
) -> keras.Model:
    """Return the residual network with 18 layers.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels.
    width : float
        Share of the paper's filters. 0.25 trains on a CPU.
    dropout : float
        Dropout rate before the logit; the paper has no dropout.
    cells : bool
        Whether to add a cell map, which is trained on boxes of findings and contributes to the
        logit.
    local_contrast : bool
        Whether to add the local contrast of the image as a second channel: see
        `mura_models.local_contrast`.
    """
    return residual_network(
        input_shape,
        (2, 2, 2, 2),
        width=width,
        dropout=dropout,
        cells=cells,
        local_contrast=local_contrast,
        name="resnet18",
    )


def resnet34(
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    dropout: float = 0.0,
    cells: bool = False,
    local_contrast: bool = False,
) -> keras.Model:
    """Return the residual network with 34 layers.

    Parameters
    ----------
    input_shape, width, dropout, cells, local_contrast
        As for `resnet18`.
    """
    return residual_network(
        input_shape,
        (3, 4, 6, 3),
        width=width,
        dropout=dropout,
        cells=cells,
        local_contrast=local_contrast,
        name="resnet34",
    )


def resnet50(input_shape: tuple[int, int, int]) -> keras.Model:
    """Return `keras.applications.ResNet50`, untrained.

    Parameters
    ----------
    input_shape : tuple
        (H, W, 1), at least 32 x 32 pixels.
    """
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
    local_contrast: bool = False,
    name: str = "resnet",
) -> keras.Model:
    """Return a residual network of basic blocks, two 3 x 3 convolutions each.

    Parameters
    ----------
    input_shape : tuple
        (H, W, channels).
    blocks : tuple of int
        Number of blocks in each of the four stages.
    outputs : int
        Number of logits; the paper's networks have 1,000.
    width, dropout, cells, local_contrast
        As for `resnet18`.
    name : str
        Name of the model.
    """
    inputs = keras.Input(input_shape)
    images = inputs
    if local_contrast:
        channels = [images, with_local_contrast(images)]
        images = layers.Concatenate(name="local_channels")(channels)
    widths = [max(1, round(filters * width)) for filters in _FILTERS]
    features = _convolved(images, widths[0], 7, stride=2, name="stem")
    features = layers.ReLU(name="stem_relu")(features)
    features = layers.ZeroPadding2D(1, name="stem_pool_padding")(features)
    features = layers.MaxPooling2D(3, strides=2, name="stem_pool")(features)
    ends = []  # stage outputs, at 1/4, 1/8, 1/16 and 1/32 of the image's side
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
    """Convolve with symmetric zero padding, and normalise."""
    if kernel > 1:
        # With a stride, padding="same" would pad one side more than the other.
        features = layers.ZeroPadding2D(kernel // 2, name=f"{name}_padding")(features)
    features = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        use_bias=False,
        # He et al. 2015, "Delving Deep into Rectifiers", fan-out mode, as in torchvision.
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=f"{name}_conv",
    )(features)
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(
        features
    )
