"""Operating points: the probabilities from which units are called abnormal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import UsageError
from mura_core.evaluation.units import Floats

HALF = 0.5  # the 2019 report's operating point


@dataclass(frozen=True)
class OperatingPoint:
    """Thresholds of the probability that turn it into a verdict.

    Attributes
    ----------
    threshold : float
        Units are called abnormal at this probability or above.
    normal_below : float or None
        Units are called normal below this probability, and uncertain between it and `threshold`.
        If None, units below `threshold` are called normal.
    """

    threshold: float
    normal_below: float | None = None

    @property
    def low(self) -> float:
        """The probability below which a unit is called normal."""
        return self.threshold if self.normal_below is None else self.normal_below

    def verdicts(self, probabilities: Floats) -> NDArray[np.str_]:
        """Return the verdict on each probability.

        Parameters
        ----------
        probabilities : ndarray of shape (n,), float64

        Returns
        -------
        ndarray of shape (n,), str
            `normal`, `uncertain` or `abnormal`.
        """
        called = np.where(probabilities < self.low, "normal", "uncertain")
        return np.where(probabilities >= self.threshold, "abnormal", called)


# By level and fold.
OperatingPoints: TypeAlias = Mapping[tuple[str, int], OperatingPoint]


def limits_of(folds: pd.Series, level: str, points: OperatingPoints) -> tuple[Floats, Floats]:
    """Return the thresholds of each unit.

    Parameters
    ----------
    folds : Series of shape (n,), int
        The fold of each unit.
    level : str
        One of `LEVELS`.
    points : mapping
        The operating point of each level and fold.

    Returns
    -------
    low : ndarray of shape (n,), float64
        The probability below which each unit is called normal.
    high : ndarray of shape (n,), float64
        The probability from which each unit is called abnormal.
    """
    numbers, fold_of_unit = np.unique(folds, return_inverse=True)
    own = [points[level, int(fold)] for fold in numbers]
    low, high = np.array([point.low for point in own]), np.array([one.threshold for one in own])
    return low[fold_of_unit], high[fold_of_unit]


@dataclass(frozen=True)
class Side:
    """How one threshold is chosen.

    Attributes
    ----------
    kind : {"fixed", "youden", "sensitivity", "specificity"}
        A fixed probability, the highest Youden index, or a given rate.
    value : float
        The probability or the rate; ignored for Youden.
    """

    kind: Literal["fixed", "youden", "sensitivity", "specificity"]
    value: float = HALF


@dataclass(frozen=True)
class Rule:
    """How an operating point is chosen.

    Attributes
    ----------
    abnormal : Side
        The threshold from which units are called abnormal.
    normal : Side or None
        The threshold below which units are called normal; None for a single threshold.
    """

    abnormal: Side
    normal: Side | None = None

    @property
    def is_chosen(self) -> bool:
        """Whether it is chosen on predictions, not fixed."""
        return self.abnormal.kind != "fixed"


def parse_rule(text: str) -> Rule:
    """Parse the value of `--operating-point`.

    Parameters
    ----------
    text : str
        Such as `0.5`, `youden`, `sensitivity=0.95` or `0.3,0.7`.

    Returns
    -------
    Rule

    Raises
    ------
    UsageError
        If `text` isn't a valid rule.
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
    """Choose an operating point on labelled predictions.

    The candidates for a threshold are the probabilities that occur. Youden's rule takes the one
    with the highest index, sensitivity + specificity - 1 (Youden 1950). A sensitivity takes the
    highest that reaches it. A specificity takes the lowest that reaches it, which may be just above
    all probabilities.

    With two thresholds, units are called normal below the one for the sensitivity and abnormal from
    the one for the specificity. If the first is above the second, every threshold between them
    reaches both rates; the middle is used for both, and no unit is uncertain.

    Parameters
    ----------
    rule : Rule
        How the thresholds are chosen.
    labels : ndarray of shape (n,), int
        1 for abnormal, 0 for normal. Both must occur.
    probabilities : ndarray of shape (n,), float64
        Probabilities of 'abnormal'.

    Returns
    -------
    OperatingPoint
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
    thresholds[0] = np.nextafter(thresholds[1], np.inf)  # scikit-learn has inf here
    if side.kind == "youden":
        chosen = int(np.argmax(sensitivity - false_positive_rate))
    elif side.kind == "sensitivity":
        chosen = int(np.argmax(sensitivity >= side.value))
    else:
        chosen = int(np.flatnonzero(1 - false_positive_rate >= side.value)[-1])
    return float(thresholds[chosen])
