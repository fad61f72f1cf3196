"""The files of a run folder, which each step reads and the next goes on from.

`config.yaml`, `environment.json`, `counts.csv`, `left_out.csv`, `splits.csv`, `statistics.npz`,
`augmented.png`, `history.csv`, `model.keras`, `checkpoint.npz`, `tuning.csv`, `predictions.csv`,
`shuffled/`, `folds/`, `seeds/`, `metrics.json`, `calibrated.csv`, `errors.csv`, `errors/`,
`heatmaps/` and `report.html`; their columns and keys are described in docs/run-folder.md.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from mura_core.data import COLUMNS
from mura_core.errors import DataError, UsageError
from mura_core.files import replacing
from mura_core.runs.settings import RunConfig
from mura_core.tables import read_table
from mura_core.training import read_history

TUNING = "tuning.csv"

_PREDICTIONS = (*COLUMNS, "fold", "logit", "probability", "part_rate")
# The tables of a run folder, and the columns that each has at least. `history.csv` is read by
# `mura_core.training`.
RUN_TABLES: Mapping[str, Sequence[str]] = {
    "counts.csv": ("split", "body_part", "label", "images", "studies", "patients"),
    "left_out.csv": ("path", "reason"),
    "splits.csv": COLUMNS,
    TUNING: _PREDICTIONS,
    "predictions.csv": _PREDICTIONS,
    "errors.csv": (*_PREDICTIONS, "operating_point", "margin"),
    "heatmaps/heatmaps.csv": (
        "path", "label", "logit", "probability", "explainer", "layer", "toward", "signed", "style",
        "scale", "peak", "empty", "map", "heatmap", "overlay",
    ),
    "heatmaps/letters.csv": (
        "path", "body_part", "patient", "label", "fold", "logit", "probability",
        "logit_of_nothing", "logit_without_letters", "logit_without_elsewhere",
        "probability_without_letters", "flips",
    ),
}  # fmt: skip


def refuse_used_folder(folder: Path) -> None:
    """Raise an error unless a folder can be made, or is there and empty.

    Raises
    ------
    UsageError
        There are files in it already, or it can't be made or written to.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"--out {folder}: {existing} is not a folder; name another")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--out {folder}: the folder {existing} can't be written to")
    if existing == folder and any(folder.iterdir()):
        resume = f", or go on with that run: mura-run --resume {folder}"
        is_run = (folder / "config.yaml").is_file()
        raise UsageError(f"--out {folder} is not empty; name a new folder{resume * is_run}")


@contextmanager
def new_run_folder(folder: Path) -> Iterator[None]:
    """Make a new folder for results, and take it away where the block fails without any.

    An epoch of training is a result: its folder stays, and can be resumed. So does the folder of a
    run that was interrupted.

    Raises
    ------
    UsageError
        There are files in it already, or it can't be made.
    """
    refuse_used_folder(folder)
    was_there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except Exception:
        if not any(folder.rglob("history.csv")):
            shutil.rmtree(folder)
            if was_there:
                folder.mkdir()
        raise


def seed_folder(folder: Path, config: RunConfig, seed: int) -> Path:
    """Return where the trainings from one of a run's seeds are: the run folder if it has one."""
    return folder / "seeds" / str(seed) if len(config.network_seeds) > 1 else folder


def training_folder(folder: Path, fold: int) -> Path:
    """Return where the files of one training are: the seed's folder, or a fold's own."""
    return folder / "folds" / str(fold) if fold else folder


def read_run_table(folder: Path, name: str) -> pd.DataFrame:
    """Return one of a run's tables, by its path in the run folder.

    Parameters
    ----------
    folder : Path
    name : str
        One of `RUN_TABLES`.

    Raises
    ------
    DataError
        It is missing, lacks a column, or holds what the column can't.
    """
    return read_table(folder / name, RUN_TABLES[name])


def read_predictions(folder: Path, name: str = "predictions.csv") -> pd.DataFrame:
    """Return a run's `predictions.csv`, or `tuning.csv`.

    Raises
    ------
    DataError
        It is missing, lacks a column, or holds what can't be.
    """
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; is {folder} the folder of a finished training?")
    predictions = read_run_table(folder, name)
    if predictions.empty:
        raise DataError(f"{path}: holds no image")
    repeated = predictions["path"][predictions["path"].duplicated()]
    if len(repeated):
        raise DataError(f"{path}: {repeated.iloc[0]} is listed twice or more")
    if not predictions["label"].isin([0, 1]).all():
        raise DataError(f"{path}: the column 'label' holds something other than 0 and 1")
    for column in ("probability", "part_rate"):
        if not predictions[column].between(0, 1).all():
            raise DataError(f"{path}: the column {column!r} leaves 0 to 1")
    return predictions


def restarts_of(folder: Path) -> list[dict[str, Any]]:
    """Return the trainings of a run that collapsed, as its `history.csv` has them.

    Returns
    -------
    list of dict
        `fold` (0 without folds), `seed`, `epoch` and `reason`.
    """
    return [
        {
            "fold": int(row.get("fold", 0)),
            "seed": int(row["seed"]),
            "epoch": int(row["epoch"]),
            "reason": row["collapse"],
        }
        for row in read_history(folder)
        if row["collapse"]
    ]


def refuse_other_data(folder: Path, table: pd.DataFrame) -> None:
    """Raise a DataError if a finished training in `folder` was of another table than this one.

    Parameters
    ----------
    folder : Path
        Of one training, with its `splits.csv`.
    table : DataFrame
        The training's images as they would be trained on today: a manifest's columns.
    """
    path = folder / "splits.csv"
    before = read_table(path)
    if not set(COLUMNS) <= set(before):
        raise DataError(f"{path}: is of an older version, which can't be resumed; start a new run")
    for column in COLUMNS:
        if before[column].tolist() != table[column].tolist():
            raise DataError(
                f"{folder}: was trained on other data: {column} has changed since; start a new run"
            )


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return a run's `metrics.json`.

    Raises
    ------
    DataError
        There is none, or it isn't JSON.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; judge the run: mura-run evaluate {folder}"
        ) from None
    except (ValueError, TypeError):
        metrics = None
    if not isinstance(metrics, dict):
        raise DataError(f"{path}: is not JSON; delete it, and evaluate the run anew")
    return metrics


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write a run's `metrics.json`."""
    with replacing(folder / "metrics.json") as file:
        json.dump(metrics, file, indent=1, allow_nan=False)


def refuse_other_pixels(folder: Path, pixels: str) -> None:
    """Raise a DataError if a run was made of images whose pixels have changed since.

    Parameters
    ----------
    folder : Path
        The run folder. One that was stopped before it read the images, or that an older version
        made, doesn't say.
    pixels : str
        The digest of today's prepared images.
    """
    try:
        text = (folder / "environment.json").read_text(encoding="utf-8")
        before = json.loads(text).get("pixels", pixels)
    except (OSError, ValueError, AttributeError):
        return
    if before != pixels:
        raise DataError(
            f"{folder}: its images have changed since it was made: start a new run, or restore them"
        )


def write_environment(path: Path, pixels: str) -> None:
    """Write when, where and with which versions the run was made.

    Parameters
    ----------
    path : Path
    pixels : str
        The digest of the prepared images.
    """
    import tensorflow as tf

    packages = ("mura-run", "tensorflow", "keras", "numpy", "pandas", "pillow", "scikit-learn")
    environment = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "pixels": pixels,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "packages": {name: version(name) for name in packages},
    }
    with replacing(path) as file:
        json.dump(environment, file, indent=1)
