"""Score the heatmaps of every method on the same images with the same measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.heatmaps.baselines import MapOf, baseline_maps, summarise
from mura_core.heatmaps.maps import Explain, evidence
from mura_core.heatmaps.measures import MEASURES, scores
from mura_core.heatmaps.measures.localisation import best_share
from mura_core.heatmaps.measures.measure import (
    FINDING,
    GROUPS,
    LEARNING,
    MARKED_SHARE,
    SHUFFLED,
    USE,
    Case,
    Group,
    Measure,
)
from mura_core.heatmaps.measures.occlusion import Occluded, occlude
from mura_core.heatmaps.measures.sanity_checks import (
    EXPLANATIONS,
    after_randomising,
    noisy_images,
    rank_correlation,
)
from mura_core.heatmaps.regions import Region
from mura_core.heatmaps.results import GroupScores, Stage
from mura_core.progress import Progress
from mura_plugins.network import Network

_FEWEST = 2  # minimum number of images with a region to score that region

Maps: TypeAlias = NDArray[np.float32]
# Scores with one row per image and one column per measure, for the method's maps (`own`) and for
# each baseline's.
Tables: TypeAlias = dict[str, pd.DataFrame]


@dataclass(eq=False)
class FurtherMaps:
    """Extra explanations that are needed to score a method's maps.

    Attributes
    ----------
    training : ndarray of shape (training images with findings, h, w), float32
        Maps of training images with findings.
    others : dict of ndarray
        Maps of the first n images: `randomised` (n, h, w), of a network with random weights;
        `noisy` (draws, n, h, w), of the images with slight noise; and, if such a network was
        trained, `shuffled` (n, h, w), of a network trained on shuffled labels.
    stages : tuple of Stage
        Stages of weight randomisation.
    """

    training: Maps
    others: dict[str, Maps]
    stages: tuple[Stage, ...]


@dataclass(eq=False)
class Bench:
    """The images and networks on which every method is scored.

    Attributes
    ----------
    sample : DataFrame
        Predictions of the explained images: `path`, `patient`, `fold`.
    images : ndarray of shape (len(sample), H, W), uint8
        The explained images.
    networks : dict of Network
        For each fold, the network that predicted its images.
    seed : int
        Random seed of explainers, measures and the bootstrap.
    findings, letters : Region
        Known regions of findings and of burnt-in letters; empty by default.
    shuffled : dict of Network
        For each fold, a network trained on shuffled labels; empty if none was trained.
    measures : sequence of Measure
        The measures to compute; by default `MEASURES`.
    """

    sample: pd.DataFrame
    images: NDArray[np.uint8]
    networks: Mapping[int, Network]
    seed: int
    findings: Region = field(default_factory=Region)
    letters: Region = field(default_factory=Region)
    shuffled: Mapping[int, Network] = field(default_factory=dict)
    measures: Sequence[Measure] = MEASURES

    def __post_init__(self) -> None:
        self.sample = self.sample.reset_index(drop=True)
        # Baseline scores depend only on the group and the shape of the maps: share them between
        # methods.
        self._baseline_scores: dict[tuple[str, tuple[int, ...]], Tables] = {}

    def forget_networks(self) -> None:
        """Use the items of `networks` from now on, after they were replaced."""
        self.__dict__.pop("_occluded", None)

    def explain(self, explain: Explain, so_far: Progress) -> tuple[Maps, str | None]:
        """Return a method's maps and the layer that they explain.

        Each image is explained with the network of its fold.

        Parameters
        ----------
        explain : callable
            The explainer's function, as described by `mura_plugins.Explainer`.
        so_far : callable
            Called with the number of explained images and their total.

        Returns
        -------
        maps : ndarray of shape (len(sample), h, w), float32
        layer : str or None
            Name of the layer, or None for methods that explain pixels.
        """
        for network in self.networks.values():
            network.forget_what_was_looked_at()
        maps = self._maps(explain, self.networks, self.images, so_far)
        return maps, next(iter(self.networks.values())).looked_at

    def explain_further(
        self, explain: Explain, maps: Maps, so_far: Progress | None = None
    ) -> FurtherMaps:
        """Return the extra explanations that are needed to score a method's maps.

        They explain training images with findings, and the first images again: with random
        weights, with networks trained on shuffled labels, and with slight noise on the images.

        Parameters
        ----------
        explain : callable
            The explainer's function, as described by `mura_plugins.Explainer`.
        maps : ndarray of shape (len(sample), h, w), float32
            The method's maps, as returned by `explain`.
        so_far : callable, optional
            Called with the number of finished explanations and their total.

        Returns
        -------
        FurtherMaps
        """
        training = self.findings.training_images if len(self._rows(FINDING)) else []
        rows = self._rows(LEARNING)
        maps, images = maps[rows], self.images[rows]
        total = len(training) + len(images) * (EXPLANATIONS + bool(self.shuffled))
        done = 0

        def counted(network: Network, some: NDArray[np.generic], **how: int) -> Maps:
            nonlocal done
            found = explain(network, some, **how)
            done += len(some)
            if so_far:
                so_far(done, total)
            return found

        of_training = maps[:0]
        if len(training):
            network = next(iter(self.networks.values()))
            of_training = evidence(
                counted, {0: network}, np.stack(training), toward=1, seed=self.seed
            )
        randomised, stages = self._randomised(counted, maps, images)
        noisy = [
            self._maps(counted, self.networks, some) for some in noisy_images(images, self.seed)
        ]
        others = {"randomised": randomised, "noisy": np.stack(noisy)}
        if self.shuffled:
            others["shuffled"] = self._maps(counted, self.shuffled, images)
        return FurtherMaps(of_training, others, stages)

    def score(
        self, maps: Maps, further: FurtherMaps, so_far: Progress | None = None
    ) -> tuple[pd.DataFrame, dict[str, GroupScores | None]]:
        """Return the scores of a method's maps, per image and averaged.

        Parameters
        ----------
        maps : ndarray of shape (len(sample), h, w), float32
            The method's maps, as returned by `explain`.
        further : FurtherMaps
            Extra explanations, as returned by `explain_further`.
        so_far : callable, optional
            Called with the number of scored images and their total.

        Returns
        -------
        table : DataFrame
            One row per image and one column per measure (`Measure.column`); NaN where an image
            wasn't scored.
        groups : dict of GroupScores or None
            The scores by group; None if no image was scored.
        """
        groups: dict[str, GroupScores | None] = {}
        columns = []
        for group in GROUPS:
            rows = self._rows(group)
            if not len(rows):
                groups[group.name] = None
                continue
            own, baselines, share = self._score_group(group, maps, further, so_far)
            patients = self.sample["patient"].iloc[rows]
            groups[group.name] = replace(
                summarise(own, baselines, patients, self.seed),
                marked_share=share if group is FINDING else None,
                stages=further.stages if group is LEARNING else (),
            )
            names = {one.name: one.column for one in self.measures if one.group is group}
            columns.append(own.rename(columns=names))
        return pd.concat(columns, axis=1).reindex(self.sample.index), groups

    def _rows(self, group: Group) -> NDArray[np.intp]:
        """Return the indices of a group's images; empty if too few have its region."""
        rows = np.arange(len(self.sample))[: group.most]
        if group.region is None:
            return rows
        region = self._region(group)
        rows = rows[self.sample["path"].iloc[rows].isin(list(region.masks))]
        return rows if len(rows) >= _FEWEST else rows[:0]

    def _region(self, group: Group) -> Region:
        return self.letters if group.region == "letters" else self.findings

    def _score_group(
        self, group: Group, maps: Maps, further: FurtherMaps, so_far: Progress | None
    ) -> tuple[pd.DataFrame, Tables, float | None]:
        """Return the method's scores, the baselines' scores and the method's marked share."""
        region, shape = self._region(group), maps.shape[1:]
        known = (group.name, shape)
        kinds: dict[str, MapOf] = {"own": maps.__getitem__}
        if group.has_baselines and known not in self._baseline_scores:
            kinds |= baseline_maps(shape, region.training_masks, self.seed)
        training = further.training if group is FINDING else maps[:0]
        shares: dict[str, float] = {}
        if count := len(training):
            # Chosen separately for the method and each baseline, and only on training images.
            of_training = kinds | {"own": training.__getitem__}
            shares = {
                kind: best_share(map(map_of, range(count)), region.training_masks[:count])
                for kind, map_of in of_training.items()
            }
        there = {MARKED_SHARE: bool(shares), SHUFFLED: bool(self.shuffled)}
        offered = frozenset(name for name, is_there in there.items() if is_there)
        rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        numbers = self._rows(group)
        for done, number in enumerate(numbers, start=1):
            for kind, map_of in kinds.items():
                case = self._case(group, int(number), map_of, further, shares.get(kind))
                rows[kind].append(scores(case, group, offered, self.measures))
            if so_far and group is USE:
                so_far(done, len(numbers))
        tables = {kind: pd.DataFrame(found, index=numbers) for kind, found in rows.items()}
        own = tables.pop("own")
        return own, self._baseline_scores.setdefault(known, tables), shares.get("own")

    def _case(
        self,
        group: Group,
        number: int,
        map_of: MapOf,
        further: FurtherMaps,
        marked_share: float | None,
    ) -> Case:
        masks = self._region(group).masks if group.region else {}
        others = {
            name: found[:, number] if name == "noisy" else found[number]
            for name, found in (further.others if group is LEARNING else {}).items()
        }
        return Case(
            map_of(number),
            self.images[number],
            region=masks.get(self.sample["path"].iloc[number]),
            marked_share=marked_share,
            occluded=self._occluded[number] if group is USE else None,
            others=others,
        )

    @cached_property
    def _occluded(self) -> list[Occluded]:
        folds = self.sample["fold"].iloc[: USE.most]
        return [
            occlude(self.networks[fold], image, self.seed + number)
            for number, (image, fold) in enumerate(zip(self.images, folds, strict=False))
        ]

    def _maps(
        self,
        explain: Explain,
        networks: Mapping[int, Network],
        images: NDArray[np.generic],
        so_far: Progress | None = None,
    ) -> Maps:
        """Return maps of `images`, which are the first of the sample or altered copies of them."""
        folds = self.sample["fold"].to_numpy()[: len(images)]
        return evidence(explain, networks, images, folds, toward=1, seed=self.seed, progress=so_far)

    def _randomised(
        self, explain: Explain, maps: Maps, images: NDArray[np.uint8]
    ) -> tuple[Maps, tuple[Stage, ...]]:
        """Return the maps of fully randomised networks and `FurtherMaps.stages`."""
        folds = self.sample["fold"].to_numpy()[: len(images)]
        randomised = np.empty_like(maps)
        alike: dict[float, NDArray[np.float64]] = {}
        for fold in np.unique(folds):
            network, own = self.networks[fold], np.flatnonzero(folds == fold)
            changed = after_randomising(
                network.model,
                partial(evidence, explain, {0: network}, images[own], toward=1, seed=self.seed),
                self.seed,
            )
            for share, others in changed.items():
                correlations = alike.setdefault(share, np.empty(len(images)))
                correlations[own] = _correlations(maps[own], others)
            randomised[own] = changed[1.0]
        stages = tuple(
            Stage(share, float(np.nanmean(each)))
            for share, each in alike.items()
            if np.isfinite(each).any()
        )
        return randomised, stages


def _correlations(maps: Maps, others: Maps) -> list[float]:
    return [rank_correlation(one, other) for one, other in zip(maps, others, strict=True)]
