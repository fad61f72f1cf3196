"""A saved model, and how its images become squares."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from mura_core.errors import DataError
from mura_core.imaging import FITS, METHODS, Square


def load_model(path: Path) -> keras.Model:
    """Return a saved model, running none of the code that its file may hold.

    Raises
    ------
    DataError
        The file is missing, is no Keras model, or wants to run code.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such model file")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        if "safe_mode" in str(error):
            reason = "it holds code of its own, which is never run"
        raise DataError(f"{path}: can't be loaded as a Keras model ({reason})") from None


def square_of(model: keras.Model) -> Square:
    """Return what images must become for a model, as the name of its input says.

    Raises
    ------
    DataError
        The model isn't one that `mura-run` trained: its input says nothing of it.
    """
    name = model.inputs[0].name
    for method in METHODS:
        for fit in FITS:
            if name == f"pixels_{method}_{fit}":
                return Square(model.input_shape[1], method, fit)
    raise DataError(
        f"the model's input is named {name!r}, not pixels_area_stretch or the like, so how its"
        " images become squares isn't known; is it a model that mura-run trained?"
    )
