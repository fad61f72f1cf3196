"""The contents of `metrics.json`, and their one reader and writer.

docs/run-folder.md describes the file. It names figures, measures and counts in one object per row,
where the dataclasses have a mapping or another dataclass for each.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mura_core.errors import DataError
from mura_core.evaluation import (
    Baseline,
    Counts,
    Figures,
    LevelSpread,
    RepeatFigures,
    StudyScoreFigures,
)
from mura_core.files import replacing
from mura_core.heatmaps import GroupScores, HeatmapScores, MethodScores

if TYPE_CHECKING:
    from pydantic import TypeAdapter

METRICS_VERSION = 3
_READABLE = (2, METRICS_VERSION)

Json = dict[str, Any]


@dataclass(frozen=True)
class LevelPoint:
    """The operating point of a level and fold, and what it was chosen on.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    fold : int
        Number of the fold, from 1; 0 without folds.
    threshold : float
        Probability from which units are called abnormal.
    normal_below : float or None
        Probability below which units are called normal; None with a single threshold.
    count, abnormal : int or None
        Numbers of units that it was chosen on, and of abnormal ones; None for a fixed point.
    """

    level: str
    fold: int
    threshold: float
    normal_below: float | None
    count: int | None
    abnormal: int | None


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were computed.

    Attributes
    ----------
    method : str
    confidence : float
    draws : int
    seed : int
    """

    method: str
    confidence: float
    draws: int
    seed: int


@dataclass(frozen=True)
class Restart:
    """A training that collapsed.

    Attributes
    ----------
    fold : int
        Number of the fold, from 1; 0 without folds.
    seed : int
    epoch : int
    reason : str
    """

    fold: int
    seed: int
    epoch: int
    reason: str


@dataclass(frozen=True)
class Metrics:
    """The figures of a run and the scores of its heatmaps.

    Attributes
    ----------
    validate : {"split", "holdout", "kfold"}
    operating_point, calibrate, study_score : str
        Settings of the last evaluation.
    operating_points : tuple of LevelPoint
    temperatures : mapping of float
        Temperature of each fold's calibration, if that is the method.
    intervals : Bootstrap
    figures : tuple of Figures
        One for each level and body part.
    study_scores : tuple of StudyScoreFigures
    folds, seeds : tuple of RepeatFigures
        One for each level and fold or seed; empty if there is only one.
    over_folds, over_seeds : tuple of LevelSpread
    restarts : tuple of Restart
    heatmaps : HeatmapScores or None
        None if no heatmaps were drawn.
    """

    validate: str
    operating_point: str
    calibrate: str
    study_score: str
    operating_points: tuple[LevelPoint, ...]
    temperatures: Mapping[int, float]
    intervals: Bootstrap
    figures: tuple[Figures, ...]
    study_scores: tuple[StudyScoreFigures, ...]
    folds: tuple[RepeatFigures, ...] = ()
    over_folds: tuple[LevelSpread, ...] = ()
    seeds: tuple[RepeatFigures, ...] = ()
    over_seeds: tuple[LevelSpread, ...] = ()
    restarts: tuple[Restart, ...] = ()
    heatmaps: HeatmapScores | None = None


def read_metrics(folder: Path) -> Metrics:
    """Return the contents of a run's `metrics.json`.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    DataError
        If the file is missing or damaged, or is of a version that can't be read.
    """
    content = _json_of(folder)
    if content is None:
        raise DataError(
            f"{folder / 'metrics.json'}: no such file; evaluate the run: mura-run evaluate {folder}"
        )
    if content.get("version") not in _READABLE:
        raise DataError(
            f"{folder}: was evaluated by another version of mura-run (its metrics.json has version"
            f" {content.get('version')}, not {METRICS_VERSION}); {_again(folder)}"
        )
    return _checked(content, folder)


def last_metrics(folder: Path) -> Metrics | None:
    """Return the contents of `metrics.json`, or None if there is none that can be read.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    content = _json_of(folder)
    return _checked(content, folder) if content and content.get("version") in _READABLE else None


def write_metrics(folder: Path, metrics: Metrics) -> None:
    """Write a run's `metrics.json`.

    Parameters
    ----------
    folder : Path
        The run folder.
    metrics : Metrics
        Its contents.
    """
    with replacing(folder / "metrics.json") as file:
        json.dump(as_json(metrics), file, indent=1, allow_nan=False)


def as_json(metrics: Metrics) -> Json:
    """Return the contents of `metrics.json` as dicts and lists.

    Parameters
    ----------
    metrics : Metrics
    """
    content = _adapter().dump_python(metrics, mode="json")
    for row in content["figures"]:
        row["baselines"] = {
            name: one and _inlined(one, "estimates") for name, one in row["baselines"].items()
        }
    content["figures"] = [_inlined(row, "counts", "estimates") for row in content["figures"]]
    content["study_scores"] = [_inlined(row, "estimates") for row in content["study_scores"]]
    for name, repeat in _REPEATS.items():
        content[name] = [
            {repeat: row.pop("repeat")} | _inlined(row, "counts", "estimates")
            for row in content[name]
        ]
        for row in content[f"over_{name}"]:
            for one in filter(None, row["spreads"].values()):
                one[name] = one.pop("count")
        content[f"over_{name}"] = [_inlined(row, "spreads") for row in content[f"over_{name}"]]
    if heatmaps := content["heatmaps"]:
        for method in heatmaps["methods"]:
            method["groups"] = {
                name: group and _inlined(group, "measures")
                for name, group in method["groups"].items()
            }
        heatmaps["methods"] = [_inlined(method, "groups") for method in heatmaps["methods"]]
    return {"version": METRICS_VERSION} | content


# The tables of repeats, and their column with the number of each.
_REPEATS = {"folds": "fold", "seeds": "seed"}


@cache
def _adapter() -> TypeAdapter[Metrics]:
    from pydantic import TypeAdapter

    return TypeAdapter(Metrics)


def _json_of(folder: Path) -> Json | None:
    path = folder / "metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is not JSON; delete it and evaluate the run again")
    return content


def _again(folder: Path) -> str:
    return f"evaluate the run again: mura-run evaluate {folder}"


def _checked(content: Json, folder: Path) -> Metrics:
    """Return the contents of a readable version of `metrics.json`."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(_nested(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = f"{where}: {first['msg']}"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    path = folder / "metrics.json"
    raise DataError(f"{path}: is damaged ({reason}); delete it and {_again(folder)}")


def _nested(content: Json) -> Json:
    """Return the contents of `metrics.json` as `Metrics` has them."""
    content = dict(content)
    content["figures"] = [_nested_figures(row) for row in content["figures"]]
    content["study_scores"] = [
        _gathered(row, StudyScoreFigures, "estimates") for row in content["study_scores"]
    ]
    for name, repeat in _REPEATS.items():
        content[name] = [
            _with_counts(row | {"repeat": row[repeat]}, RepeatFigures, (repeat,))
            for row in content[name]
        ]
        content[f"over_{name}"] = [
            _gathered(
                {key: _renamed(one, name, "count") for key, one in row.items()},
                LevelSpread,
                "spreads",
            )
            for row in content[f"over_{name}"]
        ]
    if heatmaps := content["heatmaps"]:
        methods = [_nested_method(method) for method in heatmaps["methods"]]
        content["heatmaps"] = heatmaps | {"methods": methods}
    return content


def _nested_figures(row: Json) -> Json:
    baselines = {
        name: one and _gathered(one, Baseline, "estimates")
        for name, one in row["baselines"].items()
    }
    return _with_counts(row | {"baselines": baselines}, Figures)


def _nested_method(method: Json) -> Json:
    method = _gathered(method, MethodScores, "groups", left_out=("in_words",))
    groups = {
        name: group
        and _gathered(
            {key: _renamed(one, "beside", "baselines") for key, one in group.items()},
            GroupScores,
            "measures",
        )
        for name, group in method["groups"].items()
    }
    return method | {"groups": groups}


def _with_counts(row: Json, kind: type, left_out: Collection[str] = ()) -> Json:
    counts = {one.name: row[one.name] for one in fields(Counts)}
    rest = {key: value for key, value in row.items() if key not in counts}
    return _gathered(rest | {"counts": counts}, kind, "estimates", left_out)


def _gathered(row: Json, kind: Any, into: str, left_out: Collection[str] = ()) -> Json:
    """Return a row with the keys that aren't fields of a dataclass moved into a mapping."""
    names = {one.name for one in fields(kind)}
    rest = {key: value for key, value in row.items() if key not in names and key not in left_out}
    return {key: value for key, value in row.items() if key in names} | {into: rest}


def _inlined(row: Json, *parts: str) -> Json:
    """Return a row with the keys of some of its mappings in their place."""
    inlined = {key: value for key, value in row.items() if key not in parts}
    for part in parts:
        inlined |= row[part]
    return inlined


def _renamed(value: Any, old: str, new: str) -> Any:
    if not isinstance(value, dict) or old not in value:
        return value
    return {(new if key == old else key): one for key, one in value.items()}
