"""The figures of a run, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Bounds: TypeAlias = tuple[float, float]
Estimates: TypeAlias = Mapping[str, float | None]  # by the names of `FIGURES`
Intervals: TypeAlias = Mapping[str, Bounds | None]


@dataclass(frozen=True)
class Counts:
    """Numbers of units, of patients and of verdicts.

    Attributes
    ----------
    count : int
        Number of units.
    abnormal, normal : int
        Numbers of units by label.
    patients : int
    true_positives, false_positives, true_negatives, false_negatives : int
        Numbers of units by label and verdict.
    uncertain : int
        Number of units between two operating points.
    """

    count: int
    abnormal: int
    normal: int
    patients: int
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    uncertain: int


@dataclass(frozen=True)
class Lead:
    """By how much a network beats a baseline in one figure.

    Attributes
    ----------
    difference : float or None
        Network minus baseline; None if the figure isn't defined.
    interval : tuple of two floats, or None
        Interval of the difference.
    beats : bool
        Whether the whole interval is above 0.
    """

    difference: float | None
    interval: Bounds | None
    beats: bool


@dataclass(frozen=True)
class Baseline:
    """The figures of a classifier that ignores the image.

    Attributes
    ----------
    estimates : mapping of float or None
        The baseline's figures.
    beaten_by : mapping of Lead
        By how much the network beats it in each of `BEATEN_BY`.
    """

    estimates: Estimates
    beaten_by: Mapping[str, Lead]


@dataclass(frozen=True)
class Figures:
    """Figures of the units of one level and body part.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    body_part : str
        Or `ALL`.
    counts : Counts
    estimates : mapping of float or None
        Each of `FIGURES`; None where it isn't defined or not given.
    intervals : mapping of tuple of two floats, or None
        Ends of the interval of each figure.
    baselines : mapping of Baseline or None
        The baselines, by name; None if no figure is given.
    not_given : str or None
        Why no figure is given.
    """

    level: str
    body_part: str
    counts: Counts
    estimates: Estimates
    intervals: Intervals
    baselines: Mapping[str, Baseline | None]
    not_given: str | None


@dataclass(frozen=True)
class RepeatFigures:
    """Figures of one fold or seed at one level, over all body parts, without intervals.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    repeat : int
        Number of the fold, or the seed.
    counts : Counts
    estimates : mapping of float or None
        Each of `FIGURES`.
    not_given : str or None
        Why no figure is given.
    """

    level: str
    repeat: int
    counts: Counts
    estimates: Estimates
    not_given: str | None


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) of a figure over folds or seeds.

    Attributes
    ----------
    mean, deviation : float
    count : int
        Number of folds or seeds that have the figure.
    """

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class LevelSpread:
    """Spread of each figure of a level over folds or seeds.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    spreads : mapping of Spread or None
        Each of `FIGURES`; None if fewer than two folds or seeds have it.
    """

    level: str
    spreads: Mapping[str, Spread | None]


@dataclass(frozen=True)
class StudyScoreFigures:
    """Figures of the studies of all body parts with one study score.

    Attributes
    ----------
    study_score : str
        One of `STUDY_SCORES`.
    count : int
        Number of studies.
    images : int
        Number of their images.
    estimates : mapping of float or None
        Each of `COMPARED`, and `uncertain_share`.
    intervals : mapping of tuple of two floats, or None
        Ends of the interval of each figure.
    not_given : str or None
        Why no figure is given.
    """

    study_score: str
    count: int
    images: int
    estimates: Estimates
    intervals: Intervals
    not_given: str | None


@dataclass(frozen=True)
class Difference:
    """A figure of two runs.

    Attributes
    ----------
    first, second : float
        The figure of each run.
    difference : float
        Second minus first.
    interval : tuple of two floats, or None
        Interval of the difference; None if the bootstrap can't give one.
    """

    first: float
    second: float
    difference: float
    interval: Bounds | None


@dataclass(frozen=True)
class Comparison:
    """The figures of two runs for the units of one level and body part.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    body_part : str
        Or `ALL`.
    count, abnormal, patients : int
        Numbers of units, of abnormal units and of patients.
    figures : mapping of Difference or None
        Each of `FIGURES`; empty if no figure is given.
    delong, mcnemar : float or None
        P-values for AUROC and for accuracy; None if a patient has several units, since these
        aren't independent.
    not_given : str or None
        Why no figure is given.
    """

    level: str
    body_part: str
    count: int
    abnormal: int
    patients: int
    figures: Mapping[str, Difference | None]
    delong: float | None
    mcnemar: float | None
    not_given: str | None


def of_level(rows: Sequence[Figures], level: str) -> list[Figures]:
    """Return the rows of one level.

    Parameters
    ----------
    rows : sequence of Figures
    level : str
        One of `LEVELS`.
    """
    return [row for row in rows if row.level == level]
