"""Choose operating points and calibrate probabilities.

Both use predictions for training patients that the network wasn't trained on, never the images
that are judged: those of held-out patients or, with folds, the out-of-fold predictions of the other
folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.errors import DataError, UsageError
from mura_core.evaluation.calibration import Calibration, fit_calibration
from mura_core.evaluation.choices import CALIBRATIONS, MEAN, STUDY_SCORES
from mura_core.evaluation.operating_point import OperatingPoint, Rule, choose_point
from mura_core.evaluation.units import at_level


@dataclass(frozen=True)
class Judgement:
    """Predictions with calibrated probabilities and operating points.

    Attributes
    ----------
    predictions : DataFrame
        One row per image, with the calibrated `probability`.
    points : dict
        The operating point of each level and fold.
    chosen : list of dict
        The same as records: `level`, `fold`, `threshold`, `normal_below`, and the numbers of units
        that it was chosen on, `count` and `abnormal`, None for a fixed point.
    temperatures : dict of float
        The temperature of each fold; empty for other calibrations.
    calibrations : dict of callable
        For each fold, the function from logits to probabilities.
    study_score : {"mean", "max", "noisy-or"}
        How the probability of a study or patient is computed from its images (see `score_units`).
    """

    predictions: pd.DataFrame
    points: dict[tuple[str, int], OperatingPoint]
    chosen: list[dict[str, Any]]
    temperatures: dict[int, float]
    calibrations: dict[int, Calibration]
    study_score: str = MEAN


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
    if not rule.is_chosen and calibrate == "none":
        given = OperatingPoint(
            rule.abnormal.value, normal_below=rule.normal.value if rule.normal else None
        )
        points = {
            (level, int(fold)): given
            for level in LEVELS
            for fold in sorted(predictions["fold"].unique())
        }
        chosen = [
            {"level": level, "fold": fold, **asdict(point), "count": None, "abnormal": None}
            for (level, fold), point in points.items()
        ]
        uncalibrated, _ = fit_calibration("none", *np.empty((2, 0)))
        calibrations = {int(fold): uncalibrated for fold in predictions["fold"].unique()}
        return Judgement(predictions, points, chosen, {}, calibrations, study_score)
    judged: list[pd.DataFrame] = []
    chosen = []
    points, temperatures, calibrations = {}, {}, {}
    for fold in sorted(set(predictions["fold"].tolist())):
        rows = predictions[predictions["fold"] == fold]
        others = predictions[predictions["fold"] != fold] if tuning is None else tuning
        _refuse_unfit(others)
        calibrated, temperature = fit_calibration(
            calibrate, others["logit"].to_numpy(np.float64), others["label"].to_numpy()
        )
        calibrations[fold] = calibrated
        if temperature is not None:
            temperatures[fold] = temperature
        judged.append(rows.assign(probability=calibrated(rows["logit"].to_numpy(np.float64))))
        others = others.assign(probability=calibrated(others["logit"].to_numpy(np.float64)))
        for level in LEVELS:
            units = at_level(others, level, study_score)
            if rule.is_chosen:
                _refuse_unfit(units, level)
            labels = units["label"].to_numpy()
            point = choose_point(rule, labels, units["probability"].to_numpy())
            points[level, fold] = point
            chosen.append(
                {"level": level, "fold": fold, **asdict(point)}
                | {"count": len(units), "abnormal": int(labels.sum())}
            )
    together = pd.concat(judged).loc[predictions.index]
    return Judgement(together, points, chosen, temperatures, calibrations, study_score)


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
