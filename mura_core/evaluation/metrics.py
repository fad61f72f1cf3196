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

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.evaluation.operating_point import OperatingPoints, limits_of
from mura_core.evaluation.units import Floats

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


def sample_of(units: pd.DataFrame, level: str, points: OperatingPoints) -> Sample:
    """Return units of `at_level` at their operating points."""
    low, high = limits_of(units["fold"], level, points)
    probabilities = units["probability"].to_numpy(np.float64)
    _, patients = np.unique(units["patient"].to_numpy(str), return_inverse=True)
    positive = probabilities >= high
    two_points = any(point.normal_below is not None for point in points.values())
    decided = positive | (probabilities < low) if two_points else None
    return Sample(units["label"].to_numpy() == 1, probabilities, positive, patients, decided)
