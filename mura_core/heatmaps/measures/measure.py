"""Declare measures of heatmaps, their groups and their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.occlusion import Occluded
from mura_core.heatmaps.results import GroupScores, MeasureScore
from mura_core.imaging import enlarge
from mura_plugins.network import Network

# Optional inputs (`Measure.needs`), which not every run has.
MARKED_SHARE = "marked_share"
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Group:
    """Measures that share images and baselines.

    Attributes
    ----------
    name : str
        The key in `metrics.json`.
    region : {"findings", "letters"} or None
        Only images with such a region are scored; None for all.
    most : int or None
        Score at most this many images, the first ones, since the measures need hundreds of
        predictions or a dozen explanations per image.
    has_baselines : bool
        Whether baseline maps are scored as well.
    """

    name: str
    region: Literal["findings", "letters"] | None = None
    most: int | None = None
    has_baselines: bool = True


FINDING = Group("finding", region="findings")
USE = Group("use", most=48)
LEARNING = Group("learning", most=8, has_baselines=False)
LETTERS = Group("letters", region="letters")
GROUPS = (FINDING, USE, LEARNING, LETTERS)


@dataclass(frozen=True)
class Measure:
    """One way to score a heatmap of one image.

    Attributes
    ----------
    name : str
        The key in `metrics.json`.
    group : Group
        The group that the measure belongs to.
    title : str
        Label in tables.
    better : {"more", "less", "near 0"}
        Which scores are better.
    score : callable
        Function from a `Case` to a float, NaN if the measure isn't defined.
    needs : {"marked_share", "shuffled"} or None
        Optional input that the measure needs; without it the measure is skipped.
    sentence : callable, optional
        Function from the scores of the group to a clause about the method's maps. It is called only
        if the measure has a score.
    """

    name: str
    group: Group
    title: str
    better: Literal["more", "less", "near 0"]
    score: Callable[[Case], float]
    needs: str | None = None
    sentence: Callable[[GroupScores], str] | None = None

    @property
    def column(self) -> str:
        """Column in `heatmaps.csv`, prefixed with the group's name if the group has a region."""
        return f"{self.group.name}_{self.name}" if self.group.region else self.name


def score_by(name: str, group: GroupScores) -> MeasureScore:
    """Return the score by a measure that has one.

    Parameters
    ----------
    name : str
        Name of the measure.
    group : GroupScores
        Scores of its group.
    """
    score = group.measures[name]
    assert score is not None, f"{name} has a score"
    return score


@dataclass(eq=False)
class Case:
    """One heatmap of one image, with the inputs of the measures.

    Attributes
    ----------
    heat : ndarray of shape (h, w), float32
        The map: positive for evidence of 'abnormal', negative for evidence against it.
    image : ndarray of shape (H, W), uint8
        The image that is explained.
    region : ndarray of shape (H, W), bool, or None
        Mask of the finding or of the letters.
    marked_share : float or None
        The share of an image's pixels that counts as marked, chosen on training images.
    occluded : Occluded or None
        The network's logits for the image with parts of it hidden.
    others : dict of ndarray
        Further maps for the group `learning`: `randomised` and `shuffled` (h, w), of a network with
        random weights and of one trained on shuffled labels; `noisy` (n, h, w), of the image with
        slight noise.
    """

    heat: NDArray[np.float32]
    image: NDArray[np.uint8]
    region: NDArray[np.bool_] | None = None
    marked_share: float | None = None
    occluded: Occluded | None = None
    others: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The network that is explained."""
        assert self.occluded is not None, "the group has a network"
        return self.occluded.network

    @cached_property
    def large(self) -> NDArray[np.float32]:
        """The map at the size of the image, (H, W) float32, by bilinear interpolation."""
        return enlarge(self.heat, *self.image.shape)

    @cached_property
    def rank(self) -> NDArray[np.intp]:
        """Rank of each pixel by heat, 0 for the hottest, (H, W) intp.

        Ties are broken at random. Otherwise the pixels' order in memory would determine the curves
        of maps that are 0 nearly everywhere.
        """
        assert self.occluded is not None, "the group has a seed"
        random = np.random.default_rng(self.occluded.seed)
        order = np.lexsort((random.random(self.large.size), -self.large.ravel()))
        rank = np.empty(self.large.shape, np.intp)
        rank.flat[order] = np.arange(self.large.size)
        return rank
