"""Compute the figures of every level and body part, with intervals and baselines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval, is_defined
from mura_core.evaluation.choices import MEAN
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.metrics import FIGURES
from mura_core.evaluation.operating_point import OperatingPoints
from mura_core.evaluation.sample import Sample, sample_of
from mura_core.evaluation.units import Floats, at_level, selections

# A network that doesn't beat these classifiers has learned nothing useful.
BASELINES = {
    "always_normal": "always normal",
    "body_part_alone": "body part only",
}
BEATEN_BY = ("accuracy", "auroc")


def compute_figures(
    predictions: pd.DataFrame,
    points: OperatingPoints,
    *,
    seed: int,
    draws: int = DRAWS,
    study_score: str = MEAN,
) -> list[dict[str, Any]]:
    """Return the figures of every level, over all body parts and for each body part.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: the manifest's columns, `fold`, `probability` and `part_rate`.
    points : mapping
        The operating point of each level and fold.
    seed : int
        Random seed of the bootstrap over patients.
    draws : int
        Number of bootstrap draws.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images (see `score_units`).

    Returns
    -------
    list of dict
        `level`, `body_part` (ALL for all), `count`, `abnormal`, `normal`, `patients`, the confusion
        counts, each of `FIGURES` or None, `intervals` and `baselines` (docs/run-folder.md), and
        `not_given`, why there are no figures, or None.
    """
    rows = []
    refused = constant_output(predictions)
    for level in LEVELS:
        for part, units in selections(at_level(predictions, level, study_score)):
            sample = sample_of(units, level, points)
            rows.append(
                {"level": level, "body_part": part, **counts_of(sample)}
                | _figures(sample, _baselines(sample, units), seed, draws, refused)
            )
    return rows


def figures_of_folds(
    predictions: pd.DataFrame, points: OperatingPoints, study_score: str = MEAN
) -> list[dict[str, Any]]:
    """Return the figures of each level and fold over all body parts, without intervals.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: the manifest's columns, `fold`, `probability` and `part_rate`.
    points : mapping
        The operating point of each level and fold.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images (see `score_units`).

    Returns
    -------
    list of dict
        `level`, `fold`, the counts, each of `FIGURES` or None, and `not_given`.
    """
    rows = []
    for level in LEVELS:
        for fold, own in predictions.groupby("fold"):
            row = _without_intervals(own, points, level, study_score)
            rows.append({"level": level, "fold": fold} | row)
    return rows


def figures_of_seed(
    seed: int, predictions: pd.DataFrame, points: OperatingPoints, study_score: str = MEAN
) -> list[dict[str, Any]]:
    """Return the figures of one seed's networks for each level, over all body parts.

    There are no intervals: the intervals of the average show how much a figure varies with the
    patients, and the figures of the seeds show how much it varies with the seed.

    Parameters
    ----------
    seed : int
        The training seed of the networks.
    predictions : DataFrame
        One row per image: the manifest's columns, `fold`, `probability` and `part_rate`.
    points : mapping
        The operating point of each level and fold.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images (see `score_units`).

    Returns
    -------
    list of dict
        `level`, `seed`, the counts, each of `FIGURES` or None, and `not_given`.
    """
    return [
        {"level": level, "seed": seed} | _without_intervals(predictions, points, level, study_score)
        for level in LEVELS
    ]


def _without_intervals(
    predictions: pd.DataFrame, points: OperatingPoints, level: str, study_score: str
) -> dict[str, Any]:
    sample = sample_of(at_level(predictions, level, study_score), level, points)
    not_given = constant_output(predictions) or sample.no_ground()
    figures = dict.fromkeys(FIGURES) if not_given else _numbers(sample.figures())
    return {**counts_of(sample), **figures, "not_given": not_given}


def spread_over(rows: list[dict[str, Any]], of: str) -> list[dict[str, Any]]:
    """Return the mean and standard deviation (n - 1) of each figure over folds or seeds.

    Parameters
    ----------
    rows : list of dict
        The result of `figures_of_folds`, or those of `figures_of_seed` for several seeds.
    of : {"folds", "seeds"}
        What the rows are of; the key of their number in the result.

    Returns
    -------
    list of dict
        For each level, `level` and each of `FIGURES`: a dict of `mean`, `deviation` and the number
        of folds or seeds that have the figure, or None if fewer than two have it.
    """
    table = pd.DataFrame(rows)
    summary: list[dict[str, Any]] = []
    for level, own in table.groupby("level", sort=False):
        spread: dict[str, Any] = {}
        for name in FIGURES:
            given = own[name].dropna().astype(float)
            spread[name] = (
                {"mean": float(given.mean()), "deviation": float(given.std()), of: len(given)}
                if len(given) > 1
                else None
            )
        summary.append({"level": level, **spread})
    return summary


def counts_of(sample: Sample) -> dict[str, int]:
    """Return the numbers of units, patients and verdicts.

    Parameters
    ----------
    sample : Sample
        The judged units.

    Returns
    -------
    dict of int
        `count`, `abnormal`, `normal`, `patients`, the confusion counts and `uncertain`.
    """
    abnormal = int(sample.labels.sum())
    return {
        "count": len(sample.labels),
        "abnormal": abnormal,
        "normal": len(sample.labels) - abnormal,
        "patients": sample.patient_count,
        **asdict(sample.confusion()),
        "uncertain": int((~sample.decided).sum()),
    }


def _baselines(sample: Sample, units: pd.DataFrame) -> dict[str, Sample]:
    nothing = np.zeros(len(sample.labels))
    rates = units["part_rate"].to_numpy(np.float64)
    # Score the baselines on the units that the network decides: else accuracies aren't comparable.
    same = (sample.patients, sample.decided if sample.has_two_points else None)
    return {
        "always_normal": Sample(sample.labels, nothing, nothing > 0, *same),
        "body_part_alone": Sample(sample.labels, rates, rates >= 0.5, *same),
    }


def _figures(
    sample: Sample,
    baselines: dict[str, Sample],
    seed: int,
    draws: int,
    refused: str | None = None,
) -> dict[str, Any]:
    not_given = refused or sample.no_ground()
    if not_given:
        nothing = {"intervals": dict.fromkeys(FIGURES), "baselines": dict.fromkeys(BASELINES)}
        return dict.fromkeys(FIGURES) | nothing | {"not_given": not_given}
    drawn, *baselines_drawn = bootstrap([sample, *baselines.values()], seed=seed, draws=draws)
    figures = {
        name: number if is_defined(drawn[name]) else None
        for name, number in _numbers(sample.figures()).items()
    }
    intervals = {
        name: _interval_of(name, estimate, drawn[name]) for name, estimate in figures.items()
    }
    against = {
        name: _against(figures, drawn, _numbers(baseline.figures()), baseline_drawn)
        for (name, baseline), baseline_drawn in zip(baselines.items(), baselines_drawn, strict=True)
    }
    return figures | {"intervals": intervals, "baselines": against, "not_given": None}


def _against(
    figures: dict[str, float | None],
    drawn: dict[str, Floats],
    baseline: dict[str, float | None],
    baseline_drawn: dict[str, Floats],
) -> dict[str, Any]:
    """Return a baseline's figures and by how much the network beats them in the same draws."""
    beaten: dict[str, Any] = {}
    for name in BEATEN_BY:
        bounds = interval(drawn[name] - baseline_drawn[name])
        ours, theirs = figures[name], baseline[name]
        beaten[name] = {
            # Accuracy isn't defined if no unit is decided.
            "difference": None if ours is None or theirs is None else ours - theirs,
            "interval": bounds,
            "beats": bounds is not None and bounds[0] > 0,
        }
    return baseline | {"beaten_by": beaten}


def _interval_of(name: str, estimate: float | None, drawn: Floats) -> tuple[float, float] | None:
    bounds = interval(drawn) if estimate is not None else None
    if bounds is None or bounds[0] == bounds[1]:
        # If all draws are equal, such as for a sensitivity of 1, they can't estimate the
        # uncertainty.
        return None
    if name == "calibration_error":
        # A sum of absolute gaps is biased upwards, in the sample and again in its draws. Lower the
        # lower end by both biases; in a simulation, 93 to 97 % of the intervals then cover the
        # truth.
        assert estimate is not None
        excess = max(0.0, float(np.nanmean(drawn)) - estimate)
        return max(0.0, bounds[0] - 2 * excess), bounds[1]
    return bounds


def _numbers(figures: dict[str, Floats]) -> dict[str, float | None]:
    return {
        name: float(figures[name][0]) if np.isfinite(figures[name][0]) else None for name in FIGURES
    }
