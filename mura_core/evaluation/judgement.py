"""Choose operating points and calibrate probabilities.

Both use predictions for training patients that the network wasn't trained on, never the images
that are judged: those of held-out patients or, with folds, the out-of-fold predictions of the other
folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.errors import DataError, UsageError
from mura_core.evaluation.calibration import Calibration, fit_calibration, uncalibrated
from mura_core.evaluation.choices import CALIBRATIONS, MEAN, STUDY_SCORES
from mura_core.evaluation.operating_point import OperatingPoint, Rule, choose_point
from mura_core.evaluation.units import at_level


@dataclass(frozen=True)
class ChosenPoint:
    """An operating point, and what it was chosen on.

    Attributes
    ----------
    point : OperatingPoint
    count, abnormal : int or None
        The number of units that it was chosen on, and of abnormal ones; None for a fixed point.
    """

    point: OperatingPoint
    count: int | None = None
    abnormal: int | None = None


@dataclass(frozen=True)
class FoldJudgement:
    """How the predictions of one fold's network are judged.

    Attributes
    ----------
    points : mapping
        The operating point of each level.
    calibration : callable
        From logits to probabilities.
    temperature : float or None
        Of the calibration, if that is how it was calibrated.
    """

    points: Mapping[str, ChosenPoint]
    calibration: Calibration = uncalibrated
    temperature: float | None = None


@dataclass(frozen=True)
class Judgement:
    """Predictions with calibrated probabilities and operating points.

    Attributes
    ----------
    predictions : DataFrame
        One row per image, with the calibrated `probability`.
    folds : mapping
        How each fold's predictions are judged.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images (see `score_units`).
    """

    predictions: pd.DataFrame
    folds: Mapping[int, FoldJudgement]
    study_score: str = MEAN

    @property
    def points(self) -> dict[tuple[str, int], OperatingPoint]:
        """The operating point of each level and fold."""
        return {
            (level, fold): judged.points[level].point
            for fold, judged in self.folds.items()
            for level in judged.points
        }

    @property
    def calibrations(self) -> dict[int, Calibration]:
        """For each fold, the function from logits to probabilities."""
        return {fold: judged.calibration for fold, judged in self.folds.items()}


def judge(
    predictions: pd.DataFrame,
    tuning: pd.DataFrame | None,
    rule: Rule,
    calibrate: str,
    study_score: str = MEAN,
) -> Judgement:
    """Calibrate predictions and choose the operating point of each level.

    Parameters
    ----------
    predictions : DataFrame
        The predictions to judge: one row per image, with the manifest's columns, `fold`, `logit`,
        `probability` and `part_rate`.
    tuning : DataFrame or None
        Predictions for held-out training patients, with the same columns. If None, calibration and
        operating points of each fold are chosen on the other folds.
    rule : Rule
        How operating points are chosen, such as `parse_rule("youden")`.
    calibrate : {"none", "temperature", "isotonic"}
        The calibration method.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images, both for judging and
        for choosing the operating point (see `score_units`).

    Returns
    -------
    Judgement

    Raises
    ------
    DataError
        If no patients were held out, or their units all have the same label.
    UsageError
        If the calibration or the study score is unknown.
    """
    _refuse_unknown("--calibrate", calibrate, CALIBRATIONS)
    _refuse_unknown("--study-score", study_score, STUDY_SCORES)
    folds = sorted(set(predictions["fold"].tolist()))
    if not rule.is_chosen and calibrate == "none":
        low = rule.normal.value if rule.normal else None
        fixed = ChosenPoint(OperatingPoint(rule.abnormal.value, normal_below=low))
        same = FoldJudgement(dict.fromkeys(LEVELS, fixed))
        return Judgement(predictions, dict.fromkeys(folds, same), study_score)
    judged: list[pd.DataFrame] = []
    by_fold = {}
    for fold in folds:
        rows = predictions[predictions["fold"] == fold]
        others = predictions[predictions["fold"] != fold] if tuning is None else tuning
        by_fold[fold] = own = _judge_fold(others, rule, calibrate, study_score)
        logits = rows["logit"].to_numpy(np.float64)
        judged.append(rows.assign(probability=own.calibration(logits)))
    return Judgement(pd.concat(judged).loc[predictions.index], by_fold, study_score)


def _judge_fold(
    held_out: pd.DataFrame, rule: Rule, calibrate: str, study_score: str
) -> FoldJudgement:
    """Return the calibration and the operating points that are chosen on held-out predictions."""
    _refuse_unfit(held_out)
    logits = held_out["logit"].to_numpy(np.float64)
    calibration, temperature = fit_calibration(calibrate, logits, held_out["label"].to_numpy())
    held_out = held_out.assign(probability=calibration(logits))
    points = {}
    for level in LEVELS:
        units = at_level(held_out, level, study_score)
        if rule.is_chosen:
            _refuse_unfit(units, level)
        labels = units["label"].to_numpy()
        point = choose_point(rule, labels, units["probability"].to_numpy())
        points[level] = ChosenPoint(point, len(units), int(labels.sum()))
    return FoldJudgement(points, calibration, temperature)


def _refuse_unknown(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(known)}")


def _refuse_unfit(held_out: pd.DataFrame, level: str = "image") -> None:
    if held_out.empty:
        raise DataError(
            "no training patients were held out to choose an operating point or fit a calibration:"
            " train with --operating-point or --calibrate, or with folds"
        )
    if held_out["label"].nunique() < 2:
        raise DataError(
            f"too few training patients were held out to choose an operating point or fit a"
            f" calibration: all {len(held_out)} units by {level.replace('_', ' ')} have the same"
            f" label"
        )
