"""The probability from which a unit is called abnormal, and how it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import UsageError
from mura_core.evaluation.units import Floats

HALF = 0.5  # the report's operating point: positive at a probability of 0.5 or more


@dataclass(frozen=True)
class OperatingPoint:
    """From what probability a unit is called abnormal, and below what it is called normal.

    Attributes
    ----------
    threshold : float
        It is called abnormal at this probability or above.
    normal_below : float or None
        It is called normal below this probability and is uncertain between the two; None where
        there is one point, and every unit that isn't abnormal is normal.
    """

    threshold: float
    normal_below: float | None = None

    @property
    def low(self) -> float:
        """The probability below which a unit is called normal."""
        return self.threshold if self.normal_below is None else self.normal_below

    def verdicts(self, probabilities: Floats) -> NDArray[np.str_]:
        """Return `normal`, `uncertain` or `abnormal` for each probability."""
        called = np.where(probabilities < self.low, "normal", "uncertain")
        return np.where(probabilities >= self.threshold, "abnormal", called)


# By level and fold.
OperatingPoints: TypeAlias = Mapping[tuple[str, int], OperatingPoint]


def limits_of(folds: pd.Series, level: str, points: OperatingPoints) -> tuple[Floats, Floats]:
    """Return below what probability each unit is called normal, and from what abnormal.

    Parameters
    ----------
    folds : Series of shape (n,), int
        The fold of each unit.
    level : str
        One of `LEVELS`.
    points : mapping

    Returns
    -------
    low, high : ndarray of shape (n,), float64
    """
    numbers, fold_of_unit = np.unique(folds, return_inverse=True)
    own = [points[level, int(fold)] for fold in numbers]
    low, high = np.array([point.low for point in own]), np.array([one.threshold for one in own])
    return low[fold_of_unit], high[fold_of_unit]


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
