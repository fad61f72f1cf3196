"""What a measure of heatmaps is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.occlusion import Occluded
from mura_core.imaging import enlarge
from mura_plugins.network import Network

MARKED_SHARE = "marked_share"  # what a measure may need that not every run has
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Group:
    """Measures that are taken on the same images and against the same baselines.

    Attributes
    ----------
    name : str
        The key in `metrics.json`.
    region : {"findings", "letters"} or None
        Only images with such a region are measured; None for all.
    most : int or None
        So many images at most, the first of them, since a measure takes hundreds of predictions
        an image, or a dozen explanations.
    has_baselines : bool
        Whether the maps of `baselines` are measured as well.
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
        The key in `metrics.json`; with its group's name, if that has a region, the column of
        `heatmaps.csv`.
    group : Group
    title : str
        What the number is, for a table.
    better : {"more", "less", "near 0"}
    score : callable
        From a `Case` to a float; NaN where the measure isn't defined.
    needs : {"marked_share", "shuffled"} or None
        What the case must have; without it the measure is left out.
    sentence : callable, optional
        From the group's summary, as of `baselines.summarise`, to a clause about the method's maps.
    """

    name: str
    group: Group
    title: str
    better: Literal["more", "less", "near 0"]
    score: Callable[[Case], float]
    needs: str | None = None
    sentence: Callable[[Mapping[str, Any]], str] | None = None

    @property
    def column(self) -> str:
        """The name of its column in `heatmaps.csv`."""
        return f"{self.group.name}_{self.name}" if self.group.region else self.name


@dataclass(eq=False)
class Case:
    """One heatmap of one image, and what is known of the image.

    Attributes
    ----------
    heat : ndarray of shape (h, w), float32
        The map: evidence for 'abnormal', and below 0 against it.
    image : ndarray of shape (H, W), uint8
    region : ndarray of shape (H, W), bool, or None
        Where the finding is, or the letters.
    marked_share : float or None
        The share of an image's pixels that counts as marked, chosen on training images.
    occluded : Occluded or None
        What the network says of the image with parts of it hidden.
    others : dict of ndarray
        Further maps for the group `learning`: `randomised` and `shuffled` (h, w), of a network
        with random weights and of one trained on shuffled labels; `noisy` (n, h, w), of the image
        with a little noise.
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
        """The map at the image's size, by bilinear interpolation."""
        return enlarge(self.heat, *self.image.shape)

    @cached_property
    def rank(self) -> NDArray[np.intp]:
        """Each pixel's place when they are ordered by heat, 0 for the hottest, (H, W).

        Pixels of the same heat are ordered at random: their order in memory would decide the curves
        of maps that are 0 nearly everywhere.
        """
        assert self.occluded is not None, "the group has a seed"
        random = np.random.default_rng(self.occluded.seed)
        order = np.lexsort((random.random(self.large.size), -self.large.ravel()))
        rank = np.empty(self.large.shape, np.intp)
        rank.flat[order] = np.arange(self.large.size)
        return rank
