"""Declare the figures that networks are judged by.

To add a figure, list it in `FIGURES`; tables, intervals, `metrics.json`, the console and the report
then include it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mura_core.evaluation.units import Floats

CALIBRATION_BINS = 10


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of units by label and verdict.

    Attributes
    ----------
    true_positives, false_positives, true_negatives, false_negatives : int or ndarray
        Numbers, or arrays of the same shape.
    """

    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any

    @property
    def abnormal(self) -> Any:
        """Number of abnormal units."""
        return self.true_positives + self.false_negatives

    @property
    def normal(self) -> Any:
        """Number of normal units."""
        return self.true_negatives + self.false_positives

    @property
    def called_abnormal(self) -> Any:
        """Number of units that were called abnormal."""
        return self.true_positives + self.false_positives

    @property
    def called_normal(self) -> Any:
        """Number of units that were called normal."""
        return self.true_negatives + self.false_negatives

    @property
    def count(self) -> Any:
        """Number of units that were called normal or abnormal."""
        return self.abnormal + self.normal

    @property
    def accuracy(self) -> Any:
        """Share of the units that were called correctly."""
        return (self.true_positives + self.true_negatives) / self.count

    @property
    def sensitivity(self) -> Any:
        """Share of the abnormal units that were called abnormal."""
        return self.true_positives / self.abnormal

    @property
    def specificity(self) -> Any:
        """Share of the normal units that were called normal."""
        return self.true_negatives / self.normal


@dataclass(frozen=True, eq=False)
class Totals:
    """Weighted sums over units, from which figures are computed.

    A unit's weight is the number of times that a bootstrap draw takes its patient.

    Attributes
    ----------
    confusion : Confusion of ndarrays of shape (draws,)
        Counts of the units that were called normal or abnormal.
    units : ndarray of shape (draws,)
        Number of units, including uncertain ones.
    squared_error : ndarray of shape (draws,)
        Sum of (probability - label)².
    bin_errors : ndarray of shape (CALIBRATION_BINS, draws)
        Sum of probability - label over the units in each bin of probability.
    auroc : ndarray of shape (draws,)
        Area under the ROC curve.
    average_precision : ndarray of shape (draws,)
        Average precision.
    has_two_points : bool
        Whether units may be uncertain.
    """

    confusion: Confusion
    units: Floats
    squared_error: Floats
    bin_errors: Floats
    auroc: Floats
    average_precision: Floats
    has_two_points: bool


@dataclass(frozen=True)
class Figure:
    """Declaration of one figure.

    Attributes
    ----------
    title : str
        Label in tables.
    compute : callable
        Function from `Totals` to an ndarray of shape (draws,), NaN where the figure isn't defined,
        such as the sensitivity without abnormal units.
    is_headline : bool
        Whether it is shown in the first table; the report shows the others below.
    has_interval : bool
        Whether the bootstrap gives it an interval.
    """

    title: str
    compute: Callable[[Totals], Floats]
    is_headline: bool = False
    has_interval: bool = True


def _kappa(confusion: Confusion) -> Any:
    """Return Cohen's kappa (1960): agreement beyond that expected by chance."""
    by_chance = (
        confusion.abnormal * confusion.called_abnormal + confusion.normal * confusion.called_normal
    ) / confusion.count**2
    return (confusion.accuracy - by_chance) / (1 - by_chance)


def _uncertain_share(totals: Totals) -> Floats:
    # With one operating point, no unit can be uncertain.
    if not totals.has_two_points:
        return np.full(len(totals.units), np.nan)
    return np.asarray(1 - totals.confusion.count / totals.units)


FIGURES: dict[str, Figure] = {
    "accuracy": Figure("accuracy", lambda t: t.confusion.accuracy, is_headline=True),
    "balanced_accuracy": Figure(
        "balanced accuracy", lambda t: (t.confusion.sensitivity + t.confusion.specificity) / 2
    ),
    "sensitivity": Figure("sensitivity", lambda t: t.confusion.sensitivity, is_headline=True),
    "specificity": Figure("specificity", lambda t: t.confusion.specificity, is_headline=True),
    "ppv": Figure("PPV", lambda t: t.confusion.true_positives / t.confusion.called_abnormal),
    "npv": Figure("NPV", lambda t: t.confusion.true_negatives / t.confusion.called_normal),
    "f1": Figure(
        "F1",
        lambda t: (
            2 * t.confusion.true_positives / (t.confusion.abnormal + t.confusion.called_abnormal)
        ),
    ),
    "auroc": Figure("AUROC", lambda t: t.auroc, is_headline=True),
    "average_precision": Figure("average precision", lambda t: t.average_precision),
    "kappa": Figure("kappa", lambda t: _kappa(t.confusion), is_headline=True),
    # Brier 1950, for two outcomes and one probability.
    "brier": Figure("Brier score", lambda t: t.squared_error / t.units),
    # Naeini, Cooper and Hauskrecht 2015: the gap between the mean probability and the rate of
    # abnormal units in each of ten bins of equal width, weighted by the number of units. A sum of
    # absolute gaps is biased upwards, in a bootstrap's draws more than in the sample (Roelofs,
    # Cain, Shlens and Mozer 2022), so that its percentiles are no interval.
    "calibration_error": Figure(
        "calibration error",
        lambda t: np.abs(t.bin_errors).sum(axis=0) / t.units,
        has_interval=False,
    ),
    "uncertain_share": Figure("uncertain share", _uncertain_share),
}
