"""Measure how much of a network's evidence is burnt-in letters.

The letters are inpainted, and the change of the logit is measured. Regions of the same shape
elsewhere are inpainted for comparison, since inpainting itself changes the logit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import ALL
from mura_core.evaluation import (
    DRAWS,
    LEAST_PATIENTS,
    Floats,
    OperatingPoints,
    draw_patients,
    interval,
)
from mura_core.heatmaps.measures.inpainting import fill
from mura_core.heatmaps.results import TextReliance
from mura_core.progress import Progress
from mura_plugins.network import Network

_BATCH = 32
_MARGIN = 2  # pixels around the letters, which resizing blurs beyond their boxes
_TRIES = 50


def without_letters(
    predictions: pd.DataFrame,
    images: Iterator[NDArray[np.uint8]],
    letters: Mapping[str, NDArray[np.bool_]],
    networks: Mapping[int, Network],
    *,
    seed: int,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the networks' logits for images whose letters are inpainted.

    Parameters
    ----------
    predictions : DataFrame
        Predictions for the images: `path`, `body_part`, `patient`, `label`, `fold`, `logit`.
    images : iterator of ndarray of shape (H, W), uint8
        The images, in the same order.
    letters : dict of ndarray of shape (H, W), bool
        Mask of the letters in each image, by path. No mask may cover the whole image.
    networks : dict of Network
        The network of each fold.
    seed : int
        Random seed of the regions elsewhere.
    progress : callable, optional
        Called with the number of processed images and their total.

    Returns
    -------
    DataFrame
        The predictions with the columns `logit_without_letters` (letters inpainted),
        `logit_without_elsewhere` (a region of the same shape inpainted) and `logit_of_nothing` (the
        mean training image).
    """
    random = np.random.default_rng(seed)
    logits = np.empty((2, len(predictions)))
    nothing = {
        fold: float(network.logits(network.baseline[None])[0]) for fold, network in networks.items()
    }
    waiting = zip(predictions["path"], predictions["fold"], images, strict=True)
    done = 0
    while batch := list(islice(waiting, _BATCH)):
        paths, folds, originals = zip(*batch, strict=True)
        painted = []
        for path, image in zip(paths, originals, strict=True):
            mask = _grown(letters[path])
            painted += [fill(image, mask), fill(image, _elsewhere(mask, random))]
        pairs = np.stack(painted).reshape(len(batch), 2, *painted[0].shape)
        for fold in set(folds):
            own = np.flatnonzero(np.array(folds) == fold)
            found = networks[fold].logits(pairs[own].reshape(-1, *painted[0].shape))
            logits[:, done + own] = found.reshape(-1, 2).T
        done += len(batch)
        if progress:
            progress(done, len(predictions))
    return predictions.assign(
        logit_without_letters=logits[0],
        logit_without_elsewhere=logits[1],
        logit_of_nothing=predictions["fold"].map(nothing),
    )


def with_verdicts(
    table: pd.DataFrame,
    points: OperatingPoints,
    calibrations: Mapping[int, Callable[[Floats], Floats]],
) -> pd.DataFrame:
    """Return a table of `without_letters` with probabilities and changes of the verdict.

    Parameters
    ----------
    table : DataFrame
        As returned by `without_letters`.
    points : mapping
        The operating point of each level and fold.
    calibrations : dict
        For each fold, the function from logits to probabilities.

    Returns
    -------
    DataFrame
        The table with the columns `probability`, `probability_without_letters` and `flips`, True
        where the verdict changes.
    """
    table = table.assign(probability=np.nan, probability_without_letters=np.nan, flips=False)
    for fold, own in table.groupby("fold"):
        point, calibrated = points["image", fold], calibrations[fold]  # type: ignore[index]
        before = calibrated(own["logit"].to_numpy(np.float64))
        after = calibrated(own["logit_without_letters"].to_numpy(np.float64))
        table.loc[own.index, "probability"] = before
        table.loc[own.index, "probability_without_letters"] = after
        table.loc[own.index, "flips"] = point.verdicts(before) != point.verdicts(after)
    return table


def distraction(table: pd.DataFrame, seed: int) -> list[TextReliance]:
    """Return the distraction score over all images and for each body part.

    The score is the sum of the logit's absolute changes when the letters are inpainted, divided by
    the sum of its absolute changes when the whole image is replaced by the mean training image. It
    is 0 if the network doesn't use letters and 1 if it uses nothing else.

    Parameters
    ----------
    table : DataFrame
        As returned by `with_verdicts`.
    seed : int
        Random seed of the bootstrap over patients.

    Returns
    -------
    list of TextReliance
        Over all body parts, then for each. Scores are None if they aren't defined, intervals also
        for fewer than 5 patients.
    """
    parts = [(ALL, table), *table.groupby("body_part")]
    return [_distraction(str(part), own, seed) for part, own in parts]


def _distraction(part: str, table: pd.DataFrame, seed: int) -> TextReliance:
    logit = table["logit"].to_numpy(np.float64)
    whole, letters, elsewhere = (
        np.abs(logit - table[f"logit_{name}"].to_numpy(np.float64))
        for name in ("of_nothing", "without_letters", "without_elsewhere")
    )
    patient, patients = pd.factorize(table["patient"])
    counts = TextReliance(part, len(table), len(patients), flips=int(table["flips"].sum()))
    total = whole.sum()
    if total == 0:
        return counts
    scored = replace(
        counts,
        mean_change=float(letters.mean()),
        score=float(letters.sum() / total),
        elsewhere=float(elsewhere.sum() / total),
    )
    if len(patients) < LEAST_PATIENTS:
        return scored
    weights = draw_patients(len(patients), DRAWS, seed)[:, patient]
    totals = weights @ whole
    with np.errstate(invalid="ignore"):  # totals of a draw may be 0
        return replace(
            scored,
            interval=interval(weights @ letters / totals),
            difference_interval=interval(weights @ (letters - elsewhere) / totals),
        )


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    grown = binary_dilation(mask, np.ones((3, 3), bool), iterations=_MARGIN)
    return mask if grown.all() else grown


def _elsewhere(mask: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """Return the mask, shifted at random to where it overlaps the original least."""
    best = mask
    for _ in range(_TRIES):
        shift = random.integers(0, mask.shape)
        moved = np.roll(mask, tuple(shift), axis=(0, 1))
        if (moved & mask).sum() < (best & mask).sum():
            best = moved
        if not (best & mask).any():
            break
    return best
