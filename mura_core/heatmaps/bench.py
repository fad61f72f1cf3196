"""What heatmaps are worth: every method's measured on the same images, in the same ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.heatmaps.baselines import MapOf, maps_beside, summarise
from mura_core.heatmaps.maps import Explain, evidence
from mura_core.heatmaps.measures.faithfulness import Probed, faithfulness, probe
from mura_core.heatmaps.measures.localisation import best_share, localisation
from mura_core.heatmaps.measures.sanity_checks import (
    EXPLANATIONS,
    after_randomising,
    greatest_change,
    similarity,
)
from mura_core.heatmaps.regions import Region
from mura_core.progress import Progress
from mura_plugins.network import Network

# Only the first images are measured by what takes hundreds of predictions each, or explaining
# each a dozen times.
_PROBED = 48
_EXPLAINED_AGAIN = 8
_FEWEST = 2  # images with a region, for a figure of it

Maps: TypeAlias = NDArray[np.float32]
# Of images: of the method's maps, `own`, and of those that don't look.
Tables: TypeAlias = dict[str, pd.DataFrame]
Measured: TypeAlias = tuple[pd.DataFrame, dict[str, Any]]


@dataclass(eq=False)
class Anew:
    """What a method's maps are measured by that takes more maps of it.

    Attributes
    ----------
    training_maps : ndarray of shape (training images of findings, h, w), float32
    stages : list of dict
        Of replacing weights: the `share_of_layers` and the `mean` rank correlation.
    changes : DataFrame
        A row for each of the first images, the columns `max_sensitivity`, `randomised` and, where
        there is a network of shuffled labels, `shuffled_labels`.
    """

    training_maps: Maps
    stages: list[dict[str, float]]
    changes: pd.DataFrame


@dataclass(eq=False)
class Bench:
    """The images and networks that every method is measured on.

    Attributes
    ----------
    sample : DataFrame
        The explained images' predictions: `path`, `patient`, `fold`.
    images : ndarray of shape (len(sample), H, W), uint8
    networks : dict of Network
        By the fold of the images that they judged.
    seed : int
    findings, letters : Region
    shuffled : dict of Network
        Networks that were trained on shuffled labels, where there are such.
    """

    sample: pd.DataFrame
    images: NDArray[np.uint8]
    networks: Mapping[int, Network]
    seed: int
    findings: Region = field(default_factory=Region)
    letters: Region = field(default_factory=Region)
    shuffled: Mapping[int, Network] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sample = self.sample.reset_index(drop=True)
        # What maps get that don't look at the image: the same for methods with maps of one shape.
        self._used_beside: dict[tuple[int, ...], Tables] = {}

    def explain(self, explain: Explain, so_far: Progress) -> tuple[Maps, str | None]:
        """Return a method's maps, and the layer it looked at, None where it was pixels.

        Each image is explained by the network of its fold.
        """
        for network in self.networks.values():
            network.forget_what_was_looked_at()
        maps = self._maps(explain, self.networks, self.images, so_far)
        return maps, next(iter(self.networks.values())).looked_at

    def _maps(
        self,
        explain: Explain,
        networks: Mapping[int, Network],
        images: NDArray[np.generic],
        so_far: Progress | None = None,
    ) -> Maps:
        """Return maps of the sample's first images, as they are or changed."""
        folds = self.sample["fold"].to_numpy()[: len(images)]
        return evidence(explain, networks, images, folds, toward=1, seed=self.seed, progress=so_far)

    def measure(self, maps: Maps, anew: Anew, so_far: Progress | None = None) -> Measured:
        """Return what one method's maps are worth, image by image, and on the whole.

        Parameters
        ----------
        maps : ndarray of shape (len(sample), h, w), float32
        anew : Anew
            What `explain_anew` returns.
        so_far : callable, optional

        Returns
        -------
        table : DataFrame
            A row an image, empty where it wasn't measured. Columns: the measures of `localisation`
            as `finding_...`; `letters_heat_share`; those of `faithfulness`; `max_sensitivity`,
            `randomised` and `shuffled_labels`.
        summary : dict
            For `finding`, `letters`, `use` and `learning` what `summarise` returns, or None where
            there was nothing to measure it by. `finding` also has the `marked_share` of an image
            at which its IoU is taken, chosen on training images, and `learning` the `stages`.
        """
        finding, marked_share = self._marked(maps, self.findings, anew.training_maps)
        letters, _ = self._marked(maps, self.letters, maps[:0])
        groups: dict[str, Tables] = {
            "finding": finding,
            "letters": {kind: table[["heat_share"]] for kind, table in letters.items()},
            "use": self._used(maps, so_far),
            "learning": {"own": anew.changes},
        }
        summary: dict[str, Any] = {}
        columns = []
        for group, tables in groups.items():
            if not tables:
                summary[group] = None
                continue
            own = tables["own"]
            others = {name: table for name, table in tables.items() if name != "own"}
            patients = self.sample["patient"][own.index]
            summary[group] = summarise(own, others, patients, self.seed)
            columns.append(own.add_prefix(f"{group}_") if group in ("finding", "letters") else own)
        summary["learning"]["stages"] = anew.stages
        if finding:
            summary["finding"]["marked_share"] = marked_share
        return pd.concat(columns, axis=1).reindex(self.sample.index), summary

    def _has(self, region: Region) -> NDArray[np.bool_]:
        """Return which images have a region, none where too few have for a figure of it."""
        has = self.sample["path"].isin(list(region.masks)).to_numpy()
        return has & (has.sum() >= _FEWEST)

    def _marked(
        self, maps: Maps, region: Region, training_maps: Maps
    ) -> tuple[Tables, float | None]:
        """Return how well maps mark a region, and what share of an image counts as marked."""
        has = self._has(region)
        if not has.any():
            return {}, None
        rows = np.flatnonzero(has).tolist()
        masks = [region.masks[path] for path in self.sample["path"][has]]
        beside = maps_beside(maps.shape[1:], region.training_masks, self.seed)
        kinds: dict[str, MapOf] = {"own": maps.__getitem__, **beside}
        shares: dict[str, float] = {}
        if count := len(training_maps):
            # Chosen for each kind of map by itself, and on training images.
            training = {"own": training_maps.__getitem__, **beside}
            shares = {
                kind: best_share(map(map_of, range(count)), region.training_masks[:count])
                for kind, map_of in training.items()
            }
        tables = {
            kind: pd.DataFrame(
                [
                    localisation(map_of(row), mask, shares.get(kind))
                    for row, mask in zip(rows, masks, strict=True)
                ],
                index=self.sample.index[has],
            )
            for kind, map_of in kinds.items()
        }
        return tables, shares.get("own")

    def _used(self, maps: Maps, so_far: Progress | None) -> Tables:
        shape = maps.shape[1:]
        kinds: dict[str, MapOf] = {"own": maps.__getitem__}
        if shape not in self._used_beside:
            kinds |= maps_beside(shape, self.findings.training_masks, self.seed)
        rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for number, (network, probed) in enumerate(self._probes):
            for kind, map_of in kinds.items():
                rows[kind].append(faithfulness(network, probed, map_of(number)))
            if so_far:
                so_far(number + 1, len(self._probes))
        tables = {kind: pd.DataFrame(of_kind) for kind, of_kind in rows.items()}
        own = tables.pop("own")
        return {"own": own} | self._used_beside.setdefault(shape, tables)

    @cached_property
    def _probes(self) -> list[tuple[Network, Probed]]:
        folds = self.sample["fold"][:_PROBED]
        return [
            (self.networks[fold], probe(self.networks[fold], image, self.seed + number))
            for number, (image, fold) in enumerate(zip(self.images, folds, strict=False))
        ]

    def explain_anew(self, explain: Explain, maps: Maps, so_far: Progress | None = None) -> Anew:
        """Explain what a method's maps are measured by.

        These are training images with findings, and the first images with weights replaced, by
        the network of shuffled labels where there is one, and with a little noise on the image.

        Parameters
        ----------
        explain : callable
            The method's function.
        maps : ndarray of shape (len(sample), h, w), float32
        so_far : callable, optional
        """
        training_images = self.findings.training_images if self._has(self.findings).any() else []
        training_maps = maps[:0]
        maps, images = maps[:_EXPLAINED_AGAIN], self.images[:_EXPLAINED_AGAIN]
        total = len(training_images) + len(images) * (EXPLANATIONS + bool(self.shuffled))
        done = 0

        def counted(network: Network, some: NDArray[np.generic], **how: int) -> Maps:
            nonlocal done
            found = explain(network, some, **how)
            done += len(some)
            if so_far:
                so_far(done, total)
            return found

        if len(training_images):
            network = next(iter(self.networks.values()))
            training_maps = evidence(
                counted, {0: network}, np.stack(training_images), toward=1, seed=self.seed
            )
        stages, in_the_end = self._randomised(counted, maps, images)
        columns = {
            "max_sensitivity": greatest_change(
                lambda noisy: self._maps(counted, self.networks, noisy), images, maps, self.seed
            ),
            "randomised": in_the_end,
        }
        if self.shuffled:
            others = self._maps(counted, self.shuffled, images)
            columns["shuffled_labels"] = similarity(maps, others)
        return Anew(training_maps, stages, pd.DataFrame(columns))

    def _randomised(
        self, explain: Explain, maps: Maps, images: NDArray[np.uint8]
    ) -> tuple[list[dict[str, float]], NDArray[np.float64]]:
        """Return how alike maps stay, at each stage on average, and in the end of each image."""
        folds = self.sample["fold"].to_numpy()[: len(images)]
        alike: dict[float, NDArray[np.float64]] = {}
        for fold in np.unique(folds):
            network, own = self.networks[fold], folds == fold
            changed = after_randomising(
                network.model,
                partial(evidence, explain, {0: network}, images[own], toward=1, seed=self.seed),
                self.seed,
            )
            for share, others in changed.items():
                alike.setdefault(share, np.empty(len(images)))[own] = similarity(maps[own], others)
        stages = [
            {"share_of_layers": share, "mean": float(np.nanmean(each))}
            for share, each in alike.items()
            if np.isfinite(each).any()
        ]
        return stages, alike[1.0]
