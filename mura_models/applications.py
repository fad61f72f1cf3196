"""Any backbone of `keras.applications`, with ImageNet's weights or without.

`keras:NAME` builds `mura_models.applications:NAME`, for every name of `BACKBONES`.
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

# ImageNet's grey: the mean over colours of torchvision's means and deviations, of 255.
IMAGENET_MEAN, IMAGENET_DEVIATION = 114.5, 57.6
# What a standardised image is multiplied by, and what is added, to be as a backbone's weights
# expect it: the modes of keras.applications' preprocess_input, and levels 0 to 255 for those that
# preprocess inside. The first name that a backbone's begins with counts.
_SCALES = {
    "torch": (1.0, 0.0),
    "tf": (IMAGENET_DEVIATION / 127.5, IMAGENET_MEAN / 127.5 - 1),
    "caffe": (IMAGENET_DEVIATION, 0.0),
    "levels": (IMAGENET_DEVIATION, IMAGENET_MEAN),
}
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
    """Return a backbone of `keras.applications` with its mean over the image and one logit.

    Parameters
    ----------
    name : str
        One of `BACKBONES`.
    input_shape : tuple
        (H, W, 1). The grey channel is given thrice, at the scale that ImageNet's weights expect.
    weights : str
        `none`; `imagenet`, which Keras downloads; or a file of the backbone's weights without its
        top, `.weights.h5`, `.h5` or `.keras`.
        NOTE: Keras divides EfficientNetB0 to B7's input once more where it downloads ImageNet's
        weights itself, and doesn't where it reads a file; the V2 ones have no such difference.
    dropout : float
        Share of the features dropped in training.

    Raises
    ------
    PluginError
        The weights can't be downloaded or read, or are another backbone's; or the images are too
        small for it.
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
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise PluginError(
            f"ImageNet's weights of {name} can't be downloaded ({_first_line(error)});"
            " name a file of them instead"
        ) from None
    if not from_file:
        return network
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of layers that the file has nothing for
            network.load_weights(weights)
    except Exception as error:
        raise PluginError(f"{weights} holds no weights of {name} ({_first_line(error)})") from None
    return network


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in BACKBONES:
        raise AttributeError(f"{name!r} is not one of {', '.join(BACKBONES)}")
    return partial(backbone, name)
