"""What a training that was stopped goes on from: `checkpoint.npz`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mura_core.errors import DataError
from mura_core.files import replacing, temporary_sibling
from mura_core.training.policy import Watched


@dataclass(frozen=True)
class TrainingState:
    """How far a training has come.

    Attributes
    ----------
    history : tuple of dict
        A row of `history.csv` for each epoch done.
    watched : Watched
    """

    history: tuple[dict[str, Any], ...] = ()
    watched: Watched = field(default_factory=Watched)


def save_checkpoint(
    path: Path, variables: Sequence[Any], state: TrainingState, identity: str
) -> None:
    """Write a training's state and the values of its variables.

    Parameters
    ----------
    path : Path
    variables : sequence of keras.Variable
        Of the model, with its generators of random numbers, and of the optimizer.
    state : TrainingState
    identity : str
        A digest of everything that the training learns from.
    """
    arrays = {
        f"{number:05}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(variables)
    }
    about = {
        "identity": identity,
        "arrays": list(arrays),
        "history": state.history,
        **asdict(state.watched),
    }
    with replacing(path, "wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def load_checkpoint(path: Path, variables: Sequence[Any], identity: str) -> TrainingState:
    """Assign a checkpoint's values to the variables, and return the training's state.

    Without a checkpoint nothing is assigned, and the state is that of the start. Parameters are
    those of `save_checkpoint`.

    Raises
    ------
    DataError
        The file isn't a checkpoint, or is one of another network or of other images.
    """
    if not path.is_file():
        return TrainingState()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            saved = [arrays[name] for name in about["arrays"]]
            names = ("best", "without_better", "since_lowered")
            watched = Watched(**{name: about[name] for name in names})
            state = TrainingState(tuple(about["history"]), watched)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no checkpoint ({error}); delete it to begin anew") from None
    if [list(array.shape) for array in saved] != [list(one.shape) for one in variables]:
        raise DataError(f"{path}: is the checkpoint of another network, or another recipe")
    if about["identity"] != identity:
        raise DataError(f"{path}: is of other images: the data has changed since")
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(array)
    return state


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file in the place of an older one, whole or not at all.

    Raises
    ------
    DataError
        The disk is full.
    """
    temporary = temporary_sibling(path)
    try:
        model.save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
