"""Judged units, prepared for computing figures in many bootstrap draws.

A unit is one item of a level. The levels are from MURA and the 2019 report:

- `image`: one radiograph;
- `study`: the images of one body part of one patient at one time, MURA's unit;
- `patient_within_part`: a patient's images of one body part, the report's 'patient';
- `patient`: a person, with the images of all body parts.

The probability of a study or patient is computed from its images' probabilities, by default as
their mean. It is labelled abnormal if any of its images is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.evaluation.metrics import CALIBRATION_BINS, FIGURES, Confusion, Totals
from mura_core.evaluation.operating_point import OperatingPoints, limits_of
from mura_core.evaluation.units import Floats

_FEW_VALUES = 16  # up to this many distinct probabilities are counted, not ranked
# Minimum number of patients of each label. With three abnormal patients, one bootstrap draw in
# twenty has none of them, and the ends of the interval are the extremes of the sample.
LEAST_PATIENTS = 5


class Sample:
    """Judged units, prepared for computing figures in many bootstrap draws.

    Parameters
    ----------
    labels : ndarray of shape (n,), bool
        True for abnormal.
    probabilities : ndarray of shape (n,), float64
        Probabilities of 'abnormal'.
    positive : ndarray of shape (n,), bool
        True for units that were called abnormal.
    patients : ndarray of shape (n,), int, optional
        Number of each unit's patient, from 0. By default every unit is from a different patient.
    decided : ndarray of shape (n,), bool, optional
        With two operating points, True for units that were called normal or abnormal; figures from
        the confusion counts are of these units. By default all units are decided.
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
        # For each abnormal unit, by increasing probability: the number of abnormal and of normal
        # units with a lower probability, and of normal units with a lower or equal one.
        self._abnormal_below = np.searchsorted(value[abnormal], value[abnormal], "left")
        self._normal_below = np.searchsorted(value[normal], value[abnormal], "left")
        self._normal_up_to = np.searchsorted(value[normal], value[abnormal], "right")

    def _sums_by_patient(self) -> Floats:
        """Return each patient's contribution to the sums of figures that don't need ranks.

        The rows, (4 + 2 + bins, patients), follow the fields of `Confusion` and `Totals`.
        """
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
        """Return why the sample is too small to score, or None.

        Returns
        -------
        str or None
            Such as `1 abnormal patient, 5 needed`.
        """
        for name, chosen in (("abnormal", self.labels), ("normal", ~self.labels)):
            patients = len(np.unique(self.patients[chosen]))
            if patients < LEAST_PATIENTS:
                plural = "" if patients == 1 else "s"
                return f"{patients} {name} patient{plural}, {LEAST_PATIENTS} needed"
        return None

    def confusion(self) -> Confusion:
        """Return the confusion counts of the decided units."""
        return Confusion(*(int(row.sum()) for row in self._sums[:4]))

    def figures(self, weights: Floats | None = None) -> dict[str, Floats]:
        """Return each figure in each draw of patients.

        Parameters
        ----------
        weights : ndarray of shape (draws, patients), float64, optional
            How often each patient counts in each draw. By default there is one draw, in which every
            patient counts once.

        Returns
        -------
        dict of ndarray of shape (draws,), float64
            For each name of `FIGURES`, the figure in each draw, NaN where it isn't defined.
        """
        if weights is None:
            weights = np.ones((1, self.patient_count))
        sums = self._sums @ weights.T
        with np.errstate(divide="ignore", invalid="ignore"):
            auroc, average_precision = self._ranked(weights)
            totals = Totals(
                Confusion(*sums[:4]),
                units=sums[4],
                squared_error=sums[5],
                bin_errors=sums[6:],
                auroc=auroc,
                average_precision=average_precision,
                has_two_points=self.has_two_points,
            )
            return {name: figure.compute(totals) for name, figure in FIGURES.items()}

    def _ranked(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the area under the ROC curve and the average precision, each (draws,)."""
        # Columns are the abnormal units, by increasing probability, or the few distinct values.
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
        # Precision at the probability of each column, averaged over the abnormal units.
        found = abnormal_total[:, None] - abnormal_below
        called = normal_total[:, None] - normal_below
        called += found
        precision = np.divide(found, called, out=found, where=called > 0)
        return (
            outranked / (2 * abnormal_total * normal_total),
            np.einsum("dc,dc->d", abnormal, precision) / abnormal_total,
        )


def _sums_before(columns: Floats) -> Floats:
    """Return the cumulative sums of the columns, starting with 0, (draws, n + 1)."""
    sums = np.zeros((columns.shape[0], columns.shape[1] + 1))
    np.cumsum(columns, axis=1, out=sums[:, 1:])
    return sums


def sample_of(units: pd.DataFrame, level: str, points: OperatingPoints) -> Sample:
    """Return the sample of units judged at their operating points.

    Parameters
    ----------
    units : DataFrame
        As returned by `at_level`.
    level : str
        One of `LEVELS`.
    points : mapping
        The operating point of each level and fold.

    Returns
    -------
    Sample
    """
    low, high = limits_of(units["fold"], level, points)
    probabilities = units["probability"].to_numpy(np.float64)
    _, patients = np.unique(units["patient"].to_numpy(str), return_inverse=True)
    positive = probabilities >= high
    two_points = any(point.normal_below is not None for point in points.values())
    decided = positive | (probabilities < low) if two_points else None
    return Sample(units["label"].to_numpy() == 1, probabilities, positive, patients, decided)
