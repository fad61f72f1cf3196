"""Save and load training checkpoints, `checkpoint.npz`."""

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
    """Progress of a training.

    Attributes
    ----------
    history : tuple of dict
        Rows of `history.csv`, one per finished epoch.
    watched : Watched
    """

    history: tuple[dict[str, Any], ...] = ()
    watched: Watched = field(default_factory=Watched)


def save_checkpoint(
    path: Path, variables: Sequence[Any], state: TrainingState, identity: str
) -> None:
    """Save the training state and the values of all variables.

    Parameters
    ----------
    path : Path
    variables : sequence of keras.Variable
        As returned by `variables_of`.
    state : TrainingState
    identity : str
        Digest of the training data and the seed.
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
    """Restore the variables from a checkpoint and return the training state.

    Parameters
    ----------
    path : Path
    variables : sequence of keras.Variable
        Variables to assign, in the order in which they were saved.
    identity : str
        Digest of the training data and the seed.

    Returns
    -------
    TrainingState
        The initial state if there is no such file; the variables are then unchanged.

    Raises
    ------
    DataError
        The file isn't a checkpoint, or belongs to a different network or to different images.
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
        raise DataError(
            f"{path}: is not a checkpoint ({error}); delete it to start again"
        ) from None
    if [list(array.shape) for array in saved] != [list(one.shape) for one in variables]:
        raise DataError(f"{path}: is the checkpoint of a different network or recipe")
    if about["identity"] != identity:
        raise DataError(f"{path}: belongs to different images: the data has changed since")
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(array)
    return state


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model as a `.keras` file, replacing an older one atomically.

    Parameters
    ----------
    model : keras.Model
    path : Path

    Raises
    ------
    DataError
        The file can't be written, for example because the disk is full.
    """
    temporary = temporary_sibling(path)
    try:
        model.save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
