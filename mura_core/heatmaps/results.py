"""The scores of a run's heatmaps, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mura_core.evaluation import Bounds


@dataclass(frozen=True)
class BaselineScore:
    """Score of an image-independent baseline.

    Attributes
    ----------
    mean : float
        Mean over the images.
    interval : tuple of two floats, or None
        Interval of the difference, method minus baseline.
    """

    mean: float
    interval: Bounds | None


@dataclass(frozen=True)
class MeasureScore:
    """Score of a method by one measure.

    Attributes
    ----------
    mean : float
        Mean over the images.
    interval : tuple of two floats, or None
    baselines : mapping of BaselineScore
        Scores of the baselines on the same images, by name.
    """

    mean: float
    interval: Bounds | None
    baselines: Mapping[str, BaselineScore]


@dataclass(frozen=True)
class Stage:
    """A stage of weight randomisation.

    Attributes
    ----------
    share_of_layers : float
        Share of the layers whose weights are random.
    mean : float
        Mean rank correlation with the maps of the trained network.
    """

    share_of_layers: float
    mean: float


@dataclass(frozen=True)
class GroupScores:
    """Scores of a method by the measures of one group.

    Attributes
    ----------
    count, patients : int
        Numbers of images and of their patients.
    measures : mapping of MeasureScore or None
        Score by each measure; None if it is defined for too few patients.
    marked_share : float or None
        Share of an image's pixels that counts as marked for the IoU, chosen on training images.
    stages : tuple of Stage
        Stages of weight randomisation, in the group `learning`.
    """

    count: int
    patients: int
    measures: Mapping[str, MeasureScore | None]
    marked_share: float | None = None
    stages: tuple[Stage, ...] = ()


# By the name of the group; None if no image was scored.
Groups: TypeAlias = Mapping[str, GroupScores | None]


@dataclass(frozen=True)
class MethodScores:
    """Scores of a method.

    Attributes
    ----------
    explainer : str
        Name of the method.
    layer : str or None
        The layer that it explains; None for pixels.
    images : int
        Number of explained images.
    groups : mapping of GroupScores or None
    """

    explainer: str
    layer: str | None
    images: int
    groups: Groups


@dataclass(frozen=True)
class TextReliance:
    """How much of a network's evidence is burnt-in letters.

    Attributes
    ----------
    body_part : str
        Or `ALL`.
    count, patients : int
        Numbers of images with letters and of their patients.
    flips : int
        Number of verdicts that change when the letters are inpainted.
    mean_change : float or None
        Mean absolute change of the logit.
    score : float or None
        Distraction score (see `distraction`).
    interval : tuple of two floats, or None
        Interval of the score.
    elsewhere : float or None
        The score of inpainting a region of the same shape elsewhere.
    difference_interval : tuple of two floats, or None
        Interval of the score minus `elsewhere`.
    """

    body_part: str
    count: int
    patients: int
    flips: int
    mean_change: float | None = None
    score: float | None = None
    interval: Bounds | None = None
    elsewhere: float | None = None
    difference_interval: Bounds | None = None


@dataclass(frozen=True)
class Distraction:
    """Text reliance of a run's networks.

    Attributes
    ----------
    letters : {"known", "detected"}
        Whether the data gives the positions of letters, or they were detected.
    figures : tuple of TextReliance
        Over all body parts, then for each.
    """

    letters: Literal["known", "detected"]
    figures: tuple[TextReliance, ...]


@dataclass(frozen=True)
class HeatmapScores:
    """Scores of all heatmaps of a run.

    Attributes
    ----------
    seed : int
        Seed of the explained networks.
    methods : tuple of MethodScores
    distraction : Distraction
    """

    seed: int
    methods: tuple[MethodScores, ...]
    distraction: Distraction
