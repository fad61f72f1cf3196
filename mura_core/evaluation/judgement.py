"""From what probability an image is called abnormal, and whether probabilities are calibrated.

Both are chosen on predictions of training patients that the network hasn't trained on, and never
on the images that are then judged: on the patients held out for it, or, with folds, on the
out-of-fold predictions of the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.errors import DataError, UsageError
from mura_core.evaluation.calibration import CALIBRATIONS, Calibration, fit_calibration
from mura_core.evaluation.operating_point import OperatingPoint, Rule, choose_point
from mura_core.evaluation.units import MEAN, STUDY_SCORES, at_level


@dataclass(frozen=True)
class Judgement:
    """Predictions with the probabilities and operating points they are judged by.

    Attributes
    ----------
    predictions : DataFrame
        As predicted, with `probability` calibrated.
    points : dict
        The operating point of each level and fold.
    chosen : list of dict
        The same, a row each: `level`, `fold`, `threshold`, `normal_below`, and how many units it
        was chosen on, `count` and `abnormal`, null where it was given beforehand.
    temperatures : dict
        Of each fold, where that is how it was calibrated.
    calibrations : dict
        Of each fold, the function from logits to probabilities.
    study_score : {"mean", "max", "noisy-or"}
        How a study's probability, and a patient's, comes from its images'.
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
    """Calibrate predictions, and choose each level's operating point.

    Parameters
    ----------
    predictions : DataFrame
        What is judged; one row an image.
    tuning : DataFrame or None
        Predictions of held-out training patients. Without them, each fold is judged by what is
        chosen on the others.
    rule : Rule
    calibrate : {"none", "temperature", "isotonic"}
    study_score : {"mean", "max", "noisy-or"}
        How a study's probability comes from its images', here and where the point is chosen.

    Raises
    ------
    DataError
        There's nothing to choose on, or it is of one label.
    UsageError
        There's no such calibration, or no such study score.
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
            "no training patients were held out to choose an operating point or a calibration by:"
            " train with --operating-point or --calibrate, or with folds"
        )
    if held_out["label"].nunique() < 2:
        raise DataError(
            f"too few training patients were held out to choose an operating point or a calibration"
            f" by: of {len(held_out)} units by {level.replace('_', ' ')}, all have one label"
        )
