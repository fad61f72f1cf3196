"""Backbones of `keras.applications`, with or without ImageNet weights.

`keras:NAME` builds `mura_models.applications:NAME` for every name in `BACKBONES`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mura_plugins import PluginError

BACKBONES = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge",
    "DenseNet121", "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1",
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5", "EfficientNetB6",
    "EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S",
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152",
    "ResNet152V2", "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip

# Grey level statistics of ImageNet: torchvision's means and deviations averaged over the colours,
# times 255.
IMAGENET_MEAN, IMAGENET_DEVIATION = 114.5, 57.6
# Scale and offset from a standardised image to the input that a backbone's weights expect: the
# modes of keras.applications' preprocess_input, and levels 0 to 255 for backbones with built-in
# preprocessing.
_SCALES = {
    "torch": (1.0, 0.0),
    "tf": (IMAGENET_DEVIATION / 127.5, IMAGENET_MEAN / 127.5 - 1),
    "caffe": (IMAGENET_DEVIATION, 0.0),
    "levels": (IMAGENET_DEVIATION, IMAGENET_MEAN),
}
# By prefix of the backbone's name; the first match counts.
_MODES = {
    "ConvNeXt": "levels", "DenseNet": "torch", "EfficientNet": "levels", "Inception": "tf",
    "MobileNetV3": "levels", "MobileNet": "tf", "NASNet": "tf", "ResNet50V2": "tf",
    "ResNet101V2": "tf", "ResNet152V2": "tf", "ResNet": "caffe", "VGG": "caffe", "Xception": "tf",
}  # fmt: skip


def backbone(
    name: str,
    input_shape: tuple[int, int, int],
    weights: str = "none",
    dropout: float = 0.0,
) -> Any:
    """Return a backbone of `keras.applications` with global average pooling and one logit.

    Parameters
    ----------
    name : str
        One of `BACKBONES`.
    input_shape : tuple
        (H, W, 1). The grey channel is repeated three times, at the scale that ImageNet weights
        expect.
    weights : str
        `none`; `imagenet`, downloaded by Keras; or the path of a `.weights.h5`, `.h5` or `.keras`
        file with the backbone's weights without its top.
        NOTE: for EfficientNetB0 to B7, Keras adds another division of the input if it downloads
        the ImageNet weights, but not if it reads them from a file. The V2 models don't differ.
    dropout : float
        Dropout rate before the logit.

    Raises
    ------
    PluginError
        The weights can't be downloaded or read, or belong to another backbone; or the images are
        too small.
    """
    import keras
    from keras import layers

    inputs = keras.Input(input_shape)
    scale, offset = _SCALES[next(mode for of, mode in _MODES.items() if name.startswith(of))]
    scaled = layers.Rescaling(scale, offset, name="imagenet_scale")(inputs)
    colour = layers.Concatenate(name="grey_thrice")([scaled, scaled, scaled])
    features = _with_weights(name, (*input_shape[:2], 3), weights)(colour)
    if dropout:
        features = layers.Dropout(dropout, name="dropout")(features)
    logit = layers.Dense(1, dtype="float32", name="logit")(features)
    return keras.Model(inputs, logit, name=name.lower())


def _with_weights(name: str, shape: tuple[int, int, int], weights: str) -> Any:
    import keras

    build = partial(
        getattr(keras.applications, name), include_top=False, input_shape=shape, pooling="avg"
    )
    from_file = weights not in ("none", "imagenet")
    if from_file and not Path(weights).is_file():
        raise PluginError(f"weights: {weights!r} is neither none, imagenet nor a file")
    try:
        network = build(weights="imagenet" if weights == "imagenet" else None)
    except ValueError as error:  # the images are too small
        raise PluginError(f"{name}: {_first_line(error)}") from None
    except Exception as error:  # Keras raises a bare Exception if a download fails
        raise PluginError(
            f"the ImageNet weights of {name} can't be downloaded ({_first_line(error)});"
            " give a weights file instead"
        ) from None
    if not from_file:
        return network
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # raised for layers missing from the file
            network.load_weights(weights)
    except Exception as error:
        raise PluginError(f"{weights} has no weights of {name} ({_first_line(error)})") from None
    return network


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in BACKBONES:
        raise AttributeError(f"{name!r} is not one of {', '.join(BACKBONES)}")
    return partial(backbone, name)
