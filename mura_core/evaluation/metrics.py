"""The figures that a network is judged by, each declared once.

To add a figure, name it in `FIGURES`: tables, intervals, `metrics.json`, the console
and the report take it from there.
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
    """Counts of units by label and verdict: numbers, or arrays of one shape."""

    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any

    @property
    def abnormal(self) -> Any:
        """Units that are abnormal."""
        return self.true_positives + self.false_negatives

    @property
    def normal(self) -> Any:
        """Units that are normal."""
        return self.true_negatives + self.false_positives

    @property
    def called_abnormal(self) -> Any:
        """Units that were called abnormal."""
        return self.true_positives + self.false_positives

    @property
    def called_normal(self) -> Any:
        """Units that were called normal."""
        return self.true_negatives + self.false_negatives

    @property
    def count(self) -> Any:
        """Units that were called one or the other."""
        return self.abnormal + self.normal

    @property
    def accuracy(self) -> Any:
        """Share of the units that were called what they are."""
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
    """What figures are computed from: sums over units, weighted by how often a draw takes each.

    Attributes
    ----------
    confusion : Confusion of ndarrays of shape (draws,)
    units : ndarray of shape (draws,)
        Their number, whether they were decided or not.
    squared_error : ndarray of shape (draws,)
        The sum of (probability - label)².
    bin_errors : ndarray of shape (CALIBRATION_BINS, draws)
        The sum of probability - label over the units in each bin of probability.
    auroc, average_precision : ndarray of shape (draws,)
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
    """One figure.

    Attributes
    ----------
    title : str
        What tables call it.
    compute : callable
        From `Totals` to an ndarray of shape (draws,); NaN where the figure isn't defined, such as a
        sensitivity without any abnormal unit.
    is_headline : bool
        Whether it stands in the first table; the report has the others below.
    """

    title: str
    compute: Callable[[Totals], Floats]
    is_headline: bool = False


def _kappa(confusion: Confusion) -> Any:
    """Return Cohen's kappa (1960): agreement beyond what the two marginal rates give by chance."""
    by_chance = (
        confusion.abnormal * confusion.called_abnormal + confusion.normal * confusion.called_normal
    ) / confusion.count**2
    return (confusion.accuracy - by_chance) / (1 - by_chance)


def _uncertain_share(totals: Totals) -> Floats:
    # Not defined with one operating point.
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
    # abnormal units in each of ten bins of equal width, weighted by the bins' counts.
    "calibration_error": Figure(
        "calibration error", lambda t: np.abs(t.bin_errors).sum(axis=0) / t.units
    ),
    "uncertain_share": Figure("uncertain share", _uncertain_share),
}
