"""Export trained models as SavedModel, ONNX or h5."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from mura_core.errors import DataError, UsageError
from mura_core.files import remove_leftovers_of, temporary_sibling

FORMATS = ("savedmodel", "onnx", "h5")


def export_model(model: keras.Model, path: Path, file_format: str) -> None:
    """Export a model from raw images (N, H, W, 1) to logits (N, 1).

    Parameters
    ----------
    model : keras.Model
        As returned by `mura_core.training.model.build_model`.
    path : Path
        A new file, or for `savedmodel` a new folder.
    file_format : {"savedmodel", "onnx", "h5"}
        SavedModel and ONNX use Keras' own export; h5 is Keras' older format. ONNX and h5 don't
        support the layer that standardises each pixel separately. There it is replaced by a batch
        normalisation with the same mean and variance.

    Raises
    ------
    UsageError
        The path exists, or the package for ONNX export isn't installed.
    DataError
        The file can't be written.
    """
    if path.exists():
        raise UsageError(f"{path} already exists; choose another path")
    if file_format == "onnx" and find_spec("tf2onnx") is None:
        raise UsageError("ONNX needs the package tf2onnx: pip install 'mura-run[onnx]'")
    remove_leftovers_of(path)
    temporary = temporary_sibling(path)
    try:
        if file_format == "h5":
            temporary = temporary.with_suffix(".h5")  # Keras selects the format by the suffix
            _with_batch_normalisation(model).save(temporary)
        elif file_format == "onnx":
            plain = _with_batch_normalisation(model)
            plain(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras requires a first call
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # tf2onnx uses np.object
                plain.export(temporary, format="onnx", verbose=False)
        else:
            model.export(temporary, format="tf_saved_model", verbose=False)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror or error})") from error


def _with_batch_normalisation(model: keras.Model) -> keras.Model:
    standardisation, network = model.get_layer("standardisation"), model.layers[-1]
    inputs = keras.Input(model.input_shape[1:], name=model.inputs[0].name)
    flat = keras.layers.Flatten(name="pixels")(inputs)
    statistics = keras.layers.BatchNormalization(
        epsilon=0.0, center=False, scale=False, trainable=False, name="standardisation"
    )
    standardised = keras.layers.Reshape(model.input_shape[1:], name="images")(statistics(flat))
    statistics.set_weights(
        [
            np.reshape(keras.ops.convert_to_numpy(weight), -1)
            for weight in (standardisation.adapt_mean, standardisation.adapt_variance)
        ]
    )
    return keras.Model(inputs, network(standardised), name=model.name)
