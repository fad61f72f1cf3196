"""Load a saved model, and read from it how images must be resized."""

from __future__ import annotations

import zipfile
from itertools import product
from pathlib import Path

import keras

from mura_core.errors import DataError, first_reason
from mura_core.imaging import FITS, METHODS, Square

# Keras stores weights uncompressed; repacked, they shrink by a few per cent.
_MOST_UNPACKED = 20


def load_model(path: Path) -> keras.Model:
    """Load a saved model without running any code from its file.

    Parameters
    ----------
    path : Path
        A `.keras` file.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    DataError
        The file is missing, isn't a Keras model, contains code, or unpacks to far more than it
        holds.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such model file")
    try:
        _refuse_bomb(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except DataError:
        raise
    # Whatever is in the file: Keras passes on errors of zipfile, json, h5py and TensorFlow, and
    # those of each layer.
    except Exception as error:
        reason = first_reason(error)
        if "safe_mode" in str(error):
            reason = "it contains code, which is never run"
        raise DataError(f"{path}: can't be loaded as a Keras model ({reason})") from None


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > _MOST_UNPACKED * packed:
        raise DataError(
            f"{path}: would unpack {packed:,} bytes to {unpacked:,}, which no saved model does"
        )


def input_name(square: Square) -> str:
    """Return the name of a model's input, which records how images become its squares.

    Parameters
    ----------
    square : Square

    Returns
    -------
    str
        Such as pixels_area_stretch, or pixels_area_stretch_12bit for a bit depth of 12.
    """
    depth = "" if square.bit_depth == 16 else f"_{square.bit_depth}bit"
    return f"pixels_{square.method}_{square.fit}{depth}"


def square_of(model: keras.Model) -> Square:
    """Return how a model's images are read and resized, from its input's name.

    Parameters
    ----------
    model : keras.Model
        As returned by `load_model`.

    Raises
    ------
    DataError
        The input's name gives no resizing method, so the model wasn't trained by `mura-run`.
    """
    name = model.inputs[0].name
    for method, fit, bit_depth in product(METHODS, FITS, range(8, 17)):
        square = Square(model.input_shape[1], method, fit, bit_depth)
        if name == input_name(square):
            return square
    raise DataError(
        f"the model's input is named {name!r}, not pixels_area_stretch or similar, so it is unknown"
        " how its images must be resized; was it trained by mura-run?"
    )
