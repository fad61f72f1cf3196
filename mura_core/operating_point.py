"""From what probability an image is called abnormal, and whether probabilities are calibrated.

Both are chosen on predictions of training patients that the network hasn't trained on, and never
on the images that are then judged: on the patients held out for it, or, with folds, on the
out-of-fold predictions of the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError, UsageError
from mura_core.metrics import HALF, LEVELS, MEAN, STUDY_SCORES, Floats, OperatingPoint, at_level
from mura_core.run_folder import config_of, read_metrics, read_predictions, seed_folder

Calibration = Callable[[Floats], Floats]

CALIBRATIONS = ("none", "temperature", "isotonic")
TUNING = "tuning.csv"  # of a run folder


@dataclass(frozen=True)
class Side:
    """How one threshold is found.

    Attributes
    ----------
    kind : {"fixed", "youden", "sensitivity", "specificity"}
        Given, or where Youden's index is highest, or where a rate is reached.
    value : float
        The probability, or the rate.
    """

    kind: Literal["fixed", "youden", "sensitivity", "specificity"]
    value: float = HALF


@dataclass(frozen=True)
class Rule:
    """How an operating point is found.

    Attributes
    ----------
    abnormal : Side
        From where on a unit is called abnormal.
    normal : Side or None
        Below what it is called normal; None where there is one point.
    """

    abnormal: Side
    normal: Side | None = None

    @property
    def is_chosen(self) -> bool:
        """Whether predictions are needed to find it."""
        return self.abnormal.kind != "fixed"


def parse_rule(text: str) -> Rule:
    """Return the rule of `--operating-point`.

    Raises
    ------
    UsageError
        It isn't one.
    """
    sides = [_parse_side(part) for part in text.split(",")]
    match sides:
        case [Side() as abnormal]:
            return Rule(abnormal)
        case [Side("fixed", low) as normal, Side("fixed", high) as abnormal] if low < high:
            return Rule(abnormal, normal)
        case [Side("sensitivity") as normal, Side("specificity") as abnormal]:
            return Rule(abnormal, normal)
    raise UsageError(
        f"--operating-point {text!r} is not a probability such as 0.5, youden, sensitivity=0.95,"
        " specificity=0.9, or two points: sensitivity=0.95,specificity=0.95 or 0.3,0.7"
    )


def _parse_side(text: str) -> Side | None:
    kind, _, number = text.partition("=")
    try:
        if text == "youden":
            return Side("youden")
        value = float(number if number else text)
        if 0 < value < 1 and (kind in ("sensitivity", "specificity") or not number):
            return Side(kind if number else "fixed", value)  # type: ignore[arg-type]
    except ValueError:
        pass
    return None


def choose_point(rule: Rule, labels: NDArray[np.integer], probabilities: Floats) -> OperatingPoint:
    """Return the operating point that a rule finds on some units.

    Of the probabilities that occur, a threshold is the one with the highest Youden index,
    sensitivity + specificity - 1 (Youden 1950); or the highest with the sensitivity that is asked
    for; or the lowest with the specificity, which may lie above all that occur.

    Of two points, the sensitivity's is the one below which units are called normal, and the
    specificity's the one from which they are called abnormal. Where the first is above the second,
    every threshold between them reaches both rates: the middle is taken for both, and nothing is
    uncertain.

    Parameters
    ----------
    rule : Rule
    labels : ndarray of shape (n,), of both 0 and 1
    probabilities : ndarray of shape (n,)
    """
    high = _threshold(rule.abnormal, labels, probabilities)
    if rule.normal is None:
        return OperatingPoint(high)
    low = _threshold(rule.normal, labels, probabilities)
    if low > high:
        low = high = (low + high) / 2
    return OperatingPoint(high, normal_below=low)


def _threshold(side: Side, labels: NDArray[np.integer], probabilities: Floats) -> float:
    from sklearn.metrics import roc_curve

    if side.kind == "fixed":
        return side.value
    false_positive_rate, sensitivity, thresholds = roc_curve(
        labels, probabilities, drop_intermediate=False
    )
    thresholds[0] = np.nextafter(thresholds[1], np.inf)  # nothing is abnormal, by scikit-learn inf
    if side.kind == "youden":
        chosen = int(np.argmax(sensitivity - false_positive_rate))
    elif side.kind == "sensitivity":
        chosen = int(np.argmax(sensitivity >= side.value))
    else:
        chosen = int(np.flatnonzero(1 - false_positive_rate >= side.value)[-1])
    return float(thresholds[chosen])


def calibration(
    kind: str, logits: Floats, labels: NDArray[np.integer]
) -> tuple[Calibration, float | None]:
    """Return a function from logits to calibrated probabilities, and the temperature if it has one.

    Parameters
    ----------
    kind : {"none", "temperature", "isotonic"}
        Temperature divides the logits by the number with the highest likelihood (Guo et al. 2017);
        isotonic takes the rising steps with the least squared error (Zadrozny and Elkan 2002).
    logits, labels : ndarray of shape (n,)
        What it is fitted to.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import expit

    if kind == "temperature":
        signed = np.where(labels == 1, -logits, logits).astype(np.float64)

        def loss(log_temperature: float) -> float:
            return float(np.logaddexp(0, signed / np.exp(log_temperature)).mean())

        temperature = float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x))
        return lambda new: expit(new / temperature), temperature
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits, labels)
        return lambda new: steps.predict(new), None
    return expit, None


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
        uncalibrated, _ = calibration("none", *np.empty((2, 0)))
        calibrations = {int(fold): uncalibrated for fold in predictions["fold"].unique()}
        return Judgement(predictions, points, chosen, {}, calibrations, study_score)
    judged: list[pd.DataFrame] = []
    chosen = []
    points, temperatures, calibrations = {}, {}, {}
    for fold in sorted(set(predictions["fold"].tolist())):
        rows = predictions[predictions["fold"] == fold]
        others = predictions[predictions["fold"] != fold] if tuning is None else tuning
        _refuse_unfit(others)
        calibrated, temperature = calibration(
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


def judge_run(
    folder: Path, settings: Mapping[str, str] | None = None, *, seed: int | None = None
) -> Judgement:
    """Return a run's predictions as they are judged.

    Parameters
    ----------
    folder : Path
        Of the run.
    settings : mapping, optional
        The `operating_point`, `calibrate` and `study_score` to judge by; by default the run's own.
    seed : int, optional
        Of the run's seeds, the one whose networks are judged; by default their average is.
    """
    settings = settings or settings_of(folder)
    own = folder if seed is None else seed_folder(folder, config_of(folder), seed)
    tuning = read_predictions(own, TUNING) if (own / TUNING).is_file() else None
    return judge(
        read_predictions(own),
        tuning,
        parse_rule(settings["operating_point"]),
        settings["calibrate"],
        settings["study_score"],
    )


def settings_of(folder: Path) -> dict[str, str]:
    """Return the `operating_point`, `calibrate` and `study_score` by which a run is judged.

    They are those of its `metrics.json`; of its `config.yaml` where it wasn't judged before.
    """
    names = ("operating_point", "calibrate", "study_score")
    config = config_of(folder)
    settings = {name: getattr(config, name) for name in names}
    if (folder / "metrics.json").is_file():
        metrics = read_metrics(folder)
        settings |= {name: metrics[name] for name in names if name in metrics}
    return settings
