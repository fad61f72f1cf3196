"""Compute the figures of every level and body part, with intervals and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval, is_defined
from mura_core.evaluation.choices import MEAN
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.metrics import FIGURES
from mura_core.evaluation.operating_point import OperatingPoints
from mura_core.evaluation.results import (
    Baseline,
    Bounds,
    Counts,
    Estimates,
    Figures,
    Lead,
    LevelSpread,
    RepeatFigures,
    Spread,
)
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
) -> list[Figures]:
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
    list of Figures
    """
    collapsed = constant_output(predictions)
    rows = []
    for level in LEVELS:
        for part, units in selections(at_level(predictions, level, study_score)):
            sample = sample_of(units, level, points)
            if not_given := collapsed or sample.no_ground():
                rows.append(_not_given(level, part, sample, not_given))
            else:
                baselines = _baselines(sample, units)
                rows.append(_given(level, part, sample, baselines, seed=seed, draws=draws))
    return rows


def figures_of_folds(
    predictions: pd.DataFrame, points: OperatingPoints, study_score: str = MEAN
) -> list[RepeatFigures]:
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
    list of RepeatFigures
    """
    by_fold = {
        fold: predictions[predictions["fold"] == fold]
        for fold in sorted(set(predictions["fold"].tolist()))
    }
    return [
        _without_intervals(level, fold, own, points, study_score)
        for level in LEVELS
        for fold, own in by_fold.items()
    ]


def figures_of_seed(
    seed: int, predictions: pd.DataFrame, points: OperatingPoints, study_score: str = MEAN
) -> list[RepeatFigures]:
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
    list of RepeatFigures
    """
    return [_without_intervals(level, seed, predictions, points, study_score) for level in LEVELS]


def spread_over(rows: Sequence[RepeatFigures]) -> list[LevelSpread]:
    """Return the mean and standard deviation (n - 1) of each figure over folds or seeds.

    Parameters
    ----------
    rows : sequence of RepeatFigures
        The result of `figures_of_folds`, or those of `figures_of_seed` for several seeds.

    Returns
    -------
    list of LevelSpread
    """
    return [
        LevelSpread(level, {name: _spread(row.estimates[name] for row in own) for name in FIGURES})
        for level in dict.fromkeys(row.level for row in rows)
        if (own := [row for row in rows if row.level == level])
    ]


def _spread(values: Iterator[float | None]) -> Spread | None:
    given = [value for value in values if value is not None]
    if len(given) < 2:
        return None
    return Spread(float(np.mean(given)), float(np.std(given, ddof=1)), len(given))


def _without_intervals(
    level: str, repeat: int, predictions: pd.DataFrame, points: OperatingPoints, study_score: str
) -> RepeatFigures:
    sample = sample_of(at_level(predictions, level, study_score), level, points)
    not_given = constant_output(predictions) or sample.no_ground()
    estimates = dict.fromkeys(FIGURES) if not_given else _numbers(sample.figures())
    return RepeatFigures(level, repeat, counts_of(sample), estimates, not_given)


def counts_of(sample: Sample) -> Counts:
    """Return the numbers of units, patients and verdicts.

    Parameters
    ----------
    sample : Sample
        The judged units.

    Returns
    -------
    Counts
    """
    abnormal = int(sample.labels.sum())
    return Counts(
        count=len(sample.labels),
        abnormal=abnormal,
        normal=len(sample.labels) - abnormal,
        patients=sample.patient_count,
        **asdict(sample.confusion()),
        uncertain=int((~sample.decided).sum()),
    )


def _baselines(sample: Sample, units: pd.DataFrame) -> dict[str, Sample]:
    nothing = np.zeros(len(sample.labels))
    rates = units["part_rate"].to_numpy(np.float64)
    # Score the baselines on the units that the network decides: else accuracies aren't comparable.
    same = (sample.patients, sample.decided if sample.has_two_points else None)
    return {
        "always_normal": Sample(sample.labels, nothing, nothing > 0, *same),
        "body_part_alone": Sample(sample.labels, rates, rates >= 0.5, *same),
    }


def _not_given(level: str, part: str, sample: Sample, reason: str) -> Figures:
    return Figures(
        level,
        part,
        counts_of(sample),
        estimates=dict.fromkeys(FIGURES),
        intervals=dict.fromkeys(FIGURES),
        baselines=dict.fromkeys(BASELINES),
        not_given=reason,
    )


def _given(
    level: str, part: str, sample: Sample, baselines: Mapping[str, Sample], *, seed: int, draws: int
) -> Figures:
    drawn, *baselines_drawn = bootstrap([sample, *baselines.values()], seed=seed, draws=draws)
    estimates = {
        name: number if is_defined(drawn[name]) else None
        for name, number in _numbers(sample.figures()).items()
    }
    return Figures(
        level,
        part,
        counts_of(sample),
        estimates,
        intervals={
            name: None if estimate is None else _interval_of(name, drawn[name])
            for name, estimate in estimates.items()
        },
        baselines={
            name: _against(estimates, drawn, _numbers(baseline.figures()), baseline_drawn)
            for (name, baseline), baseline_drawn in zip(
                baselines.items(), baselines_drawn, strict=True
            )
        },
        not_given=None,
    )


def _against(
    estimates: Estimates,
    drawn: Mapping[str, Floats],
    baseline: Estimates,
    baseline_drawn: Mapping[str, Floats],
) -> Baseline:
    """Return a baseline's figures and by how much the network beats them in the same draws."""
    beaten = {}
    for name in BEATEN_BY:
        bounds = interval(drawn[name] - baseline_drawn[name])
        ours, theirs = estimates[name], baseline[name]
        beaten[name] = Lead(
            # Accuracy isn't defined if no unit is decided.
            difference=None if ours is None or theirs is None else ours - theirs,
            interval=bounds,
            beats=bounds is not None and bounds[0] > 0,
        )
    return Baseline(baseline, beaten)


def _interval_of(name: str, drawn: Floats) -> Bounds | None:
    bounds = interval(drawn) if FIGURES[name].has_interval else None
    # If all draws are equal, such as for a sensitivity of 1, they can't estimate the uncertainty.
    return bounds if bounds and bounds[0] < bounds[1] else None


def _numbers(figures: Mapping[str, Floats]) -> dict[str, float | None]:
    return {
        name: float(figures[name][0]) if np.isfinite(figures[name][0]) else None for name in FIGURES
    }
