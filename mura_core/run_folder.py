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
import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mura_core.errors import DataError, UsageError
from mura_core.files import replacing
from mura_core.manifest import COLUMNS
from mura_core.recipe import Recipe
from mura_core.resizing import Fit, Method, Square

PHANTOMS = "phantoms"

_MOST_SEEDS = 50
_BETWEEN_SEEDS = 1000
_REAL_NUMBERS = ("logit", "probability", "part_rate")  # of predictions.csv


@dataclass(frozen=True)
class RunConfig(Recipe):
    """Everything that decides a run; `config.yaml` holds it, under the options' names."""

    data: str = PHANTOMS
    body_part: tuple[str, ...] = ()
    size: int = 224
    resize: Method = "area"
    fit: Fit = "stretch"
    standardise: bool = True
    strict: bool = False
    model: str = "conv4"
    model_option: tuple[str, ...] = ()
    weights: str = "none"
    class_weights: str = "report"
    false_positive_bias: float = 0.0
    seed: int = 2019
    seeds: str = "1"
    deterministic: bool = False
    restart: bool = True
    shuffled_labels: bool = False
    devices: str = "all"
    validate: str = "split"
    proportion: float = 0.8
    folds: int = 5
    operating_point: str = "0.5"
    calibrate: str = "none"
    study_score: str = "mean"
    explain: tuple[str, ...] = ()
    explain_images: str = "24"
    layer: str = ""
    style: str = "inferno"

    @property
    def options(self) -> tuple[str, ...]:
        """The architecture's, as `key=value`."""
        weights = () if self.weights == "none" else (f"weights={self.weights}",)
        return (*self.model_option, *weights)

    @property
    def network_seeds(self) -> tuple[int, ...]:
        """The seed of each network that is averaged; one where there is nothing to average.

        Raises
        ------
        UsageError
            `seeds` is neither a number of them nor a list.
        """
        return parse_seeds(self.seeds, self.seed)

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    @property
    def square(self) -> Square:
        """What each image becomes."""
        return Square(self.size, self.resize, self.fit)


def parse_seeds(text: str, first: int) -> tuple[int, ...]:
    """Return the seeds that `--seeds` asks for.

    Parameters
    ----------
    text : str
        How many, such as `3`; or a list, such as `2019,7,11`.
    first : int
        The first one where `text` is a number. The others follow 1,000 apart, since folds and
        trainings that start again take the seeds right after one.

    Raises
    ------
    UsageError
        It is neither, names a seed twice, or asks for too many.
    """
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UsageError(f"--seeds {text!r} is neither a number, such as 3, nor a list: 2019,7,11")
    seeds = [int(number) for number in numbers]
    if len(seeds) == 1:
        if not 1 <= seeds[0] <= _MOST_SEEDS:
            raise UsageError(
                f"--seeds {text} is a number of networks, from 1 to {_MOST_SEEDS}; --seed {text}"
                " sets the seed of one"
            )
        seeds = [first + _BETWEEN_SEEDS * number for number in range(seeds[0])]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text} names a seed twice: its networks would be the same")
    return tuple(seeds)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of a `config.yaml`, under the names of `RunConfig`'s fields.

    Raises
    ------
    DataError
        It isn't YAML, or sets something that no run has.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(settings, dict):
        raise DataError(f"{path}: must hold lines like 'epochs: 10'")
    defaults = asdict(RunConfig())
    for name, value in settings.items():
        if name not in defaults:
            raise DataError(f"{path}: {name!r} is not one of {', '.join(defaults)}")
        # YAML has lists for tuples, and people write 0 for 0.0, and 24 for '24'.
        kind = {tuple: (list,), float: (float, int), str: (str, float, int)}.get(
            type(defaults[name])
        )
        if not isinstance(value, kind or (type(defaults[name]),)):
            raise DataError(f"{path}: {name}: {value!r} is no value for it")
        if isinstance(defaults[name], str):
            settings[name] = str(value)
    return settings


def config_of(folder: Path) -> RunConfig:
    """Return what a run was made with.

    Raises
    ------
    DataError
        The folder, or its `config.yaml`, is missing or wrong.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder")
    settings = read_config(folder / "config.yaml")
    listed = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    return RunConfig(**(settings | listed))


def write_config(path: Path, config: RunConfig) -> None:
    """Write what `read_config` reads; paths are made absolute."""
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
    }
    if config.data != PHANTOMS:
        settings["data"] = str(Path(config.data).resolve())
    if Path(config.explain_images).is_file():
        settings["explain_images"] = str(Path(config.explain_images).resolve())
    with replacing(path) as file:
        yaml.safe_dump(settings, file, sort_keys=False)


def make_run_folder(folder: Path) -> None:
    """Make the folder of a new run.

    Raises
    ------
    UsageError
        There are files in it already.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"--out {folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)


def seed_folder(folder: Path, config: RunConfig, seed: int) -> Path:
    """Return where the trainings from one of a run's seeds are: the run folder if it has one."""
    return folder / "seeds" / str(seed) if len(config.network_seeds) > 1 else folder


def training_folder(folder: Path, fold: int) -> Path:
    """Return where the files of one training are: the seed's folder, or a fold's own."""
    return folder / "folds" / str(fold) if fold else folder


def _float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read_predictions(folder: Path, name: str = "predictions.csv") -> pd.DataFrame:
    """Return a run's `predictions.csv`, or `tuning.csv`.

    Raises
    ------
    DataError
        It is missing, or lacks a column.
    """
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; is {folder} the folder of a finished training?")
    text = dict.fromkeys(("path", "body_part", "patient", "study", "split"), "str")
    try:
        # Python's float reads each number back as the one that was written, pandas' own doesn't.
        predictions = pd.read_csv(
            path, dtype=text, na_filter=False, converters=dict.fromkeys(_REAL_NUMBERS, _float)
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not a table of predictions ({error})") from None
    if predictions.empty:
        raise DataError(f"{path}: holds no image")
    for column in (*text, "label", "fold", "logit", "probability", "part_rate"):
        if column not in predictions:
            raise DataError(f"{path}: has no column {column!r}")
        if column not in text and not pd.api.types.is_numeric_dtype(predictions[column]):
            raise DataError(f"{path}: the column {column!r} holds something that is no number")
    repeated = predictions["path"][predictions["path"].duplicated()]
    if len(repeated):
        raise DataError(f"{path}: {repeated.iloc[0]} is listed twice or more")
    if not predictions["label"].isin([0, 1]).all():
        raise DataError(f"{path}: the column 'label' holds something other than 0 and 1")
    for column in ("probability", "part_rate"):
        if not predictions[column].between(0, 1).all():
            raise DataError(f"{path}: the column {column!r} leaves 0 to 1")
    return predictions.astype({"logit": np.float32})


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's `history.csv`, none where there is no such file."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype={"collapse": "str", "least_active_layer": "str"})
    names = ["collapse", "least_active_layer"]
    if not {"seed", *names} <= set(table):
        raise DataError(f"{path}: is of an older version, which can't be resumed; start a new run")
    return table.fillna(dict.fromkeys(names, "")).to_dict("records")  # type: ignore[return-value]


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
    try:
        before = pd.read_csv(path, dtype="str", na_filter=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({error})") from None
    if not set(COLUMNS) <= set(before):
        raise DataError(f"{path}: is of an older version, which can't be resumed; start a new run")
    for column in COLUMNS:
        if before[column].tolist() != table[column].astype(str).tolist():
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
