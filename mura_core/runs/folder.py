"""Read and write the files of a run folder, through which the steps exchange data.

`config.yaml`, `environment.json`, `counts.csv`, `left_out.csv`, `unusual.csv`, `usual.json`,
`contradictions.csv`, `splits.csv`, `statistics.npz`, `augmented.png`, `history.csv`, `model.keras`,
`checkpoint.npz`, `tuning.csv`, `predictions.csv`, `shuffled/`, `folds/`, `seeds/`, `test/`,
`metrics.json`, `calibrated.csv`, `errors.csv`, `errors/`, `heatmaps/` and `report.html`.
docs/run-folder.md describes their columns and keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from mura_core.data import COLUMNS
from mura_core.errors import DataError, UsageError
from mura_core.runs.in_use import clear, has_killed_start, in_use, refuse_in_use
from mura_core.runs.metrics import Restart
from mura_core.runs.settings import RunConfig
from mura_core.tables import read_table
from mura_core.training import read_history

TUNING = "tuning.csv"
TEST = "test"  # folder of the test images' predictions and figures
USUAL = "usual.json"  # what the training images are like, by which unusual images are noticed

_PREDICTIONS = (*COLUMNS, "fold", "logit", "probability", "part_rate")
# The tables of a run folder and their required columns. `history.csv` is read by
# `mura_core.training`.
RUN_TABLES: Mapping[str, Sequence[str]] = {
    "counts.csv": ("split", "body_part", "label", "images", "studies", "patients"),
    "left_out.csv": ("path", "reason"),
    "contradictions.csv": ("path", "label", "reason"),
    "unusual.csv": ("path", "reason"),
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
    """Raise an error unless a folder is empty or can be created.

    What a start left that was killed in its first epoch doesn't count.

    Parameters
    ----------
    folder : Path
        Value of `--out`.

    Raises
    ------
    UsageError
        If the folder contains files, is used by another process, or can't be created or written to.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"--out {folder}: {existing} is not a folder; name another")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--out {folder}: the folder {existing} can't be written to")
    refuse_in_use(folder)
    if existing == folder and any(folder.iterdir()) and not has_killed_start(folder):
        resume = f", or resume that run: mura-run --resume {folder}"
        is_run = (folder / "config.yaml").is_file()
        raise UsageError(f"--out {folder} is not empty; name a new folder{resume * is_run}")


@contextmanager
def new_run_folder(folder: Path) -> Iterator[None]:
    """Create a new folder for results, and remove it if the block fails without results.

    A trained epoch counts as a result, so that the run can be resumed. What a start left that was
    killed in its first epoch is removed first.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    UsageError
        If the folder contains files, is used by another process, or can't be created or written to.
    """
    refuse_used_folder(folder)
    was_there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with in_use(folder):
            clear(folder)
            try:
                yield
            except BaseException:  # also if a signal stops the program
                if not any(folder.rglob("history.csv")):
                    clear(folder)
                raise
    finally:
        if not was_there:
            with suppress(OSError):  # it isn't empty
                folder.rmdir()


def seed_folder(folder: Path, config: RunConfig, seed: int) -> Path:
    """Return the folder of a seed's trainings, which is the run folder if there is one seed.

    Parameters
    ----------
    folder : Path
        The run folder.
    config : RunConfig
        Settings of the run.
    seed : int
        One of the run's seeds.
    """
    return folder / "seeds" / str(seed) if len(config.network_seeds) > 1 else folder


def training_folder(folder: Path, fold: int) -> Path:
    """Return the folder of one training.

    Parameters
    ----------
    folder : Path
        Folder of the training's seed, as returned by `seed_folder`.
    fold : int
        Number of the fold, from 1; 0 without folds.
    """
    return folder / "folds" / str(fold) if fold else folder


def read_run_table(folder: Path, name: str) -> pd.DataFrame:
    """Return a table of a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    name : str
        Path of the table in the run folder, a key of `RUN_TABLES`.

    Raises
    ------
    DataError
        If the table is missing, lacks a column, or has a value of a wrong type.
    """
    return read_table(folder / name, RUN_TABLES[name])


def read_predictions(folder: Path, name: str = "predictions.csv") -> pd.DataFrame:
    """Return the predictions of a run, or of one of its trainings.

    Parameters
    ----------
    folder : Path
        The run folder, or the folder of a training.
    name : {"predictions.csv", "tuning.csv"}
        Which predictions to read.

    Raises
    ------
    DataError
        If the table is missing or empty, lacks a column, or has an invalid value.
    """
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; is {folder} a finished run?")
    predictions = read_run_table(folder, name)
    if predictions.empty:
        raise DataError(f"{path}: lists no image")
    repeated = predictions["path"][predictions["path"].duplicated()]
    if len(repeated):
        raise DataError(f"{path}: {repeated.iloc[0]} is listed more than once")
    if not predictions["label"].isin([0, 1]).all():
        raise DataError(f"{path}: the column 'label' has values other than 0 and 1")
    for column in ("probability", "part_rate"):
        if not predictions[column].between(0, 1).all():
            raise DataError(f"{path}: the column {column!r} has values outside 0 to 1")
    return predictions


def restarts_of(folder: Path) -> tuple[Restart, ...]:
    """Return the collapsed trainings that a run's `history.csv` lists.

    Parameters
    ----------
    folder : Path
        The run folder.
    """
    return tuple(
        Restart(int(row.get("fold", 0)), int(row["seed"]), int(row["epoch"]), row["collapse"])
        for row in read_history(folder)
        if row["collapse"]
    )


def refuse_other_data(folder: Path, table: pd.DataFrame) -> None:
    """Raise a DataError if the data of a finished training have changed since.

    Parameters
    ----------
    folder : Path
        Folder of the training, with its `splits.csv`.
    table : DataFrame
        The training's current images, with a manifest's columns.
    """
    path = folder / "splits.csv"
    before = read_table(path)
    if not set(COLUMNS) <= set(before):
        raise DataError(f"{path}: is from an older version and can't be resumed; start a new run")
    for column in COLUMNS:
        if before[column].tolist() != table[column].tolist():
            raise DataError(
                f"{folder}: was trained on other data ({column} has changed); start a new run"
            )
