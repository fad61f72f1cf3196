"""Figures from the predictions table alone, each with its level, its body part and its counts.

Levels, from MURA and the 2019 report:

- `image`: one radiograph;
- `study`: the images of one body part of one patient at one time, MURA's unit;
- `patient_within_part`: a patient's images of one body part, the report's 'patient';
- `patient`: a person, with the images of all body parts.

The probability of a study or patient is a score of its images' probabilities, by default their
mean, and it is labelled abnormal when any of its images is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.manifest import PATIENT_WITHIN_PART, STUDY

HALF = 0.5  # the report's operating point: positive at a probability of 0.5 or more
LEVELS = {
    "image": ["path"],
    "study": STUDY,
    "patient_within_part": PATIENT_WITHIN_PART,
    "patient": ["patient"],
}
STUDY_SCORES = ("mean", "max", "noisy-or")  # of a study's images, and of a patient's
MEAN = "mean"  # the report's
FIGURES = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "auroc",
    "average_precision",
    "kappa",
    "brier",
    "calibration_error",
    "uncertain_share",
)
CALIBRATION_BINS = 10
_FEW_VALUES = 16  # so few probabilities are counted instead of ranked
# Of each label, below which no figure is given. With three abnormal patients a bootstrap draw in
# twenty holds none of them, and the interval's ends are the extremes of the sample.
LEAST_PATIENTS = 5

Floats: TypeAlias = NDArray[np.float64]


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


def at_level(predictions: pd.DataFrame, level: str, study_score: str = MEAN) -> pd.DataFrame:
    """Return one row a unit of this level, in an order that isn't the images'.

    Parameters
    ----------
    predictions : DataFrame
        One row an image: the manifest's columns, `fold`, `probability` and `part_rate`.
    level : str
        One of `LEVELS`.
    study_score : {"mean", "max", "noisy-or"}
        How a unit's probability comes from its images' (see `score_units`).

    Returns
    -------
    DataFrame with the columns `body_part`, `patient`, `fold`, `label`, `probability` and the mean
    `part_rate`. A person isn't of one body part: at the level `patient` it is ALL, where there are
    several.
    """
    # Sorted, so that sums are taken in the same order however the images come.
    images = predictions.sort_values("path")
    grouped = images.groupby(LEVELS[level])
    units = grouped.agg(
        body_part=("body_part", "first"),
        patient=("patient", "first"),
        fold=("fold", "first"),
        label=("label", "max"),
        part_rate=("part_rate", "mean"),
    ).reset_index(drop=True)
    units["probability"] = score_units(
        images["probability"].to_numpy(np.float64), grouped.ngroup().to_numpy(), study_score
    )
    if level == "patient" and len(set(predictions["body_part"])) > 1:
        units["body_part"] = "ALL"
    return units


def score_units(probabilities: Floats, unit: NDArray[np.integer], study_score: str) -> Floats:
    """Return the probability of each unit, such as a study, from its images' probabilities.

    Parameters
    ----------
    probabilities : ndarray of shape (images,), float64
    unit : ndarray of shape (images,), int
        The unit of each image, as a number from 0; every unit has an image.
    study_score : {"mean", "max", "noisy-or"}
        The mean; the highest; or 1 - prod(1 - p), the probability that any image is abnormal if
        the images were independent (Pearl 1988, section 4.3.2).

    Returns
    -------
    ndarray of shape (units,), float64
    """
    images = np.bincount(unit)
    if study_score == "mean":
        return np.bincount(unit, probabilities) / images
    highest = np.zeros(len(images))
    np.maximum.at(highest, unit, probabilities)
    if study_score == "max":
        return highest
    with np.errstate(divide="ignore"):  # a probability of 1 gives 1
        # As logarithms: 1 - p would round the small probabilities of sure images away.
        any_abnormal = -np.expm1(np.bincount(unit, np.log1p(-probabilities)))
    # A single image keeps its probability to the last bit.
    return np.where(images == 1, highest, any_abnormal)


def selections(units: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the units of all body parts, under the name ALL, and those of each."""
    parts = sorted(units["body_part"].unique())
    every = [("ALL", units)] if len(parts) > 1 else []
    return every + [(part, units[units["body_part"] == part]) for part in parts]


class Sample:
    """Units that are judged, in a form that figures are computed from again and again.

    Parameters
    ----------
    labels : ndarray of shape (n,), bool
        True for abnormal.
    probabilities : ndarray of shape (n,), float64
        Of 'abnormal'.
    positive : ndarray of shape (n,), bool
        What was called abnormal.
    patients : ndarray of shape (n,), int
        Whose unit it is, as a number from 0; by default every unit is another patient's.
    decided : ndarray of shape (n,), bool, optional
        What was called abnormal or normal, where there are two operating points. Figures that
        follow from the confusion counts are of these units. By default all are decided.
    """

    def __init__(
        self,
        labels: NDArray[np.bool_],
        probabilities: Floats,
        positive: NDArray[np.bool_],
        patients: NDArray[np.intp] | None = None,
        decided: NDArray[np.bool_] | None = None,
    ) -> None:
        self.labels = np.asarray(labels, bool)
        self.probabilities = np.asarray(probabilities, np.float64)
        self.has_two_points = decided is not None
        self.decided = np.ones(len(self.labels), bool) if decided is None else decided
        self.positive = np.asarray(positive, bool) & self.decided
        self.patients = np.arange(len(self.labels)) if patients is None else patients
        self.patient_count = int(self.patients.max()) + 1
        self._sums = self._sums_by_patient()
        values, value = np.unique(self.probabilities, return_inverse=True)
        self._counts_by_value = None
        if len(values) <= _FEW_VALUES:
            self._counts_by_value = self._by_patient(
                [
                    (value == number) & chosen
                    for chosen in (self.labels, ~self.labels)
                    for number in range(len(values))
                ]
            )
        order = np.argsort(value, kind="stable")
        abnormal, normal = (order[self.labels[order] == label] for label in (True, False))
        self._abnormal_patients = self.patients[abnormal]
        self._normal_patients = self.patients[normal]
        # Of each abnormal unit, by rising probability: how many abnormal and normal ones have
        # less, and how many normal ones have less or as much.
        self._abnormal_below = np.searchsorted(value[abnormal], value[abnormal], "left")
        self._normal_below = np.searchsorted(value[normal], value[abnormal], "left")
        self._normal_up_to = np.searchsorted(value[normal], value[abnormal], "right")

    def _sums_by_patient(self) -> Floats:
        """Return what figures without ranks are made of, (4 + 2 + bins, patients)."""
        labels, positive, negative = self.labels, self.positive, ~self.positive & self.decided
        error = self.probabilities - labels
        bins = np.minimum((self.probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        rows = [
            positive & labels,
            positive & ~labels,
            negative & ~labels,
            negative & labels,
            np.ones(len(labels)),
            error**2,
            *(np.where(bins == number, error, 0.0) for number in range(CALIBRATION_BINS)),
        ]
        return self._by_patient(rows)

    def _by_patient(self, rows: Sequence[NDArray[Any]]) -> Floats:
        """Return the sums over each patient's units, (rows, patients)."""
        return np.stack([np.bincount(self.patients, row, self.patient_count) for row in rows])

    def no_ground(self) -> str | None:
        """Return why no figure can be given, such as `1 abnormal patient, 5 needed`, or None."""
        for name, chosen in (("abnormal", self.labels), ("normal", ~self.labels)):
            patients = len(np.unique(self.patients[chosen]))
            if patients < LEAST_PATIENTS:
                plural = "" if patients == 1 else "s"
                return f"{patients} {name} patient{plural}, {LEAST_PATIENTS} needed"
        return None

    def confusion(self) -> dict[str, int]:
        """Return the counts of units that were called normal or abnormal."""
        names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        return {name: int(row.sum()) for name, row in zip(names, self._sums, strict=False)}

    def figures(self, weights: Floats | None = None) -> dict[str, Floats]:
        """Return each figure where every patient counts as often as a weight says.

        Parameters
        ----------
        weights : ndarray of shape (draws, patients), float64, optional
            By default every patient counts once, and there is one draw.

        Returns
        -------
        dict from each name of `FIGURES` to an ndarray of shape (draws,): NaN where the figure isn't
        defined, such as a sensitivity without any abnormal unit.
        """
        if weights is None:
            weights = np.ones((1, self.patient_count))
        sums = self._sums @ weights.T
        confusion, count, squares, gaps = sums[:4], sums[4], sums[5], sums[6:]
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc, average_precision = self._ranked(weights)
            return from_confusion(*confusion) | {
                "auroc": auroc,
                "average_precision": average_precision,
                # Brier 1950, for two outcomes and one probability.
                "brier": squares / count,
                # Naeini, Cooper and Hauskrecht 2015: the gap between the mean probability and
                # the rate of abnormal units in each of ten bins of equal width, weighted by the
                # bins' counts.
                "calibration_error": np.abs(gaps).sum(axis=0) / count,
                # Not defined with one operating point.
                "uncertain_share": 1 - confusion.sum(axis=0) / count
                if self.has_two_points
                else np.full(len(count), np.nan),
            }

    def _ranked(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the area under the ROC curve and the average precision, (draws,) each."""
        # Columns are abnormal units, by rising probability, or the few values that there are.
        if self._counts_by_value is None:
            abnormal = np.take(weights, self._abnormal_patients, axis=1)  # (draws, columns)
            abnormal_sums = _sums_before(abnormal)
            normal_sums = _sums_before(np.take(weights, self._normal_patients, axis=1))
            abnormal_below = np.take(abnormal_sums, self._abnormal_below, axis=1)
            normal_below = np.take(normal_sums, self._normal_below, axis=1)
            normal_up_to = np.take(normal_sums, self._normal_up_to, axis=1)
        else:
            counts = weights @ self._counts_by_value.T
            abnormal, normal = np.split(counts, 2, axis=1)
            abnormal_sums, normal_sums = _sums_before(abnormal), _sums_before(normal)
            abnormal_below, normal_below = abnormal_sums[:, :-1], normal_sums[:, :-1]
            normal_up_to = normal_sums[:, 1:]
        abnormal_total, normal_total = abnormal_sums[:, -1], normal_sums[:, -1]
        # Mann and Whitney 1947: a tie counts half.
        outranked = np.einsum("dc,dc->d", abnormal, normal_below)
        outranked += np.einsum("dc,dc->d", abnormal, normal_up_to)
        # The precision at each column's own probability, averaged over the abnormal units.
        found = abnormal_total[:, None] - abnormal_below
        called = normal_total[:, None] - normal_below
        called += found
        precision = np.divide(found, called, out=found, where=called > 0)
        return (
            outranked / (2 * abnormal_total * normal_total),
            np.einsum("dc,dc->d", abnormal, precision) / abnormal_total,
        )


def _sums_before(columns: Floats) -> Floats:
    """Return, for each column and the end, the sum of those before it, (draws, n + 1)."""
    sums = np.zeros((columns.shape[0], columns.shape[1] + 1))
    np.cumsum(columns, axis=1, out=sums[:, 1:])
    return sums


def from_confusion(
    true_positives: Any, false_positives: Any, true_negatives: Any, false_negatives: Any
) -> dict[str, Any]:
    """Return every figure that follows from confusion counts: numbers, or arrays of them."""
    abnormal = true_positives + false_negatives
    normal = true_negatives + false_positives
    said_abnormal = true_positives + false_positives
    said_normal = true_negatives + false_negatives
    count = abnormal + normal
    accuracy = (true_positives + true_negatives) / count
    sensitivity = true_positives / abnormal
    specificity = true_negatives / normal
    # Cohen 1960: agreement beyond what the two marginal rates would give by chance.
    by_chance = (abnormal * said_abnormal + normal * said_normal) / count**2
    return {
        "accuracy": accuracy,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": true_positives / said_abnormal,
        "npv": true_negatives / said_normal,
        "f1": 2 * true_positives / (abnormal + said_abnormal),
        "kappa": (accuracy - by_chance) / (1 - by_chance),
    }


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


def sample_of(units: pd.DataFrame, level: str, points: OperatingPoints) -> Sample:
    """Return units of `at_level` at their operating points."""
    low, high = limits_of(units["fold"], level, points)
    probabilities = units["probability"].to_numpy(np.float64)
    _, patients = np.unique(units["patient"].to_numpy(str), return_inverse=True)
    positive = probabilities >= high
    two_points = any(point.normal_below is not None for point in points.values())
    decided = positive | (probabilities < low) if two_points else None
    return Sample(units["label"].to_numpy() == 1, probabilities, positive, patients, decided)
