"""How much of a network's evidence is burnt-in letters: what its logit does when they are gone.

The letters are painted over with what lies around them. The same is done to places of the same
shape elsewhere: painting over changes a logit, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.evaluation import (
    DRAWS,
    LEAST_PATIENTS,
    Floats,
    OperatingPoints,
    draw_patients,
    interval,
)
from mura_core.heatmaps.measures.inpainting import fill
from mura_core.progress import Progress
from mura_plugins.network import Network

_BATCH = 32
_MARGIN = 2  # pixels around the letters: resized, they reach beyond their boxes
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
    """Return what networks say of images whose letters are painted over.

    Parameters
    ----------
    predictions : DataFrame
        Of the images: `path`, `body_part`, `patient`, `label`, `fold`, `logit`.
    images : iterator of ndarray of shape (H, W), uint8
        In the same order.
    letters : dict of ndarray of shape (H, W), bool
        Where they are, by path; not all over the image.
    networks : dict of Network
        By fold.
    seed : int
        Of the places elsewhere.

    Returns
    -------
    DataFrame
        The predictions with the columns `logit_without_letters`, `logit_without_elsewhere` and
        `logit_of_nothing`, that of the mean training image.
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
    """Return the table of `without_letters` with what becomes of verdicts.

    Parameters
    ----------
    table : DataFrame
    points : dict
        The operating point of each level and fold.
    calibrations : dict
        Of each fold, the function from logits to probabilities.

    Returns
    -------
    DataFrame
        With the columns `probability`, `probability_without_letters` and `flips`.
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


def distraction(table: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Return the distraction score over all images and of each body part.

    It is the change of the logits when letters are painted over, as a share of their change when
    the whole image is (each in absolute value, summed over the images): 0 where the network doesn't
    look at letters, 1 where it looks at nothing else.

    Parameters
    ----------
    table : DataFrame
        As of `with_verdicts`.
    seed : int
        Of the bootstrap over patients.

    Returns
    -------
    list of dict
        `body_part` (the first is ALL), `count`, `patients`, how many verdicts it `flips`, the
        `mean_change` of the logit, `score`, its 95 % `interval`, `elsewhere` (the score of painting
        over other places), and `difference_interval`, that of the difference from it. None where
        there is nothing to compute it from; no interval from fewer than 5 patients.
    """
    parts = [("ALL", table), *table.groupby("body_part")]
    return [_distraction(str(part), own, seed) for part, own in parts]


def _distraction(part: str, table: pd.DataFrame, seed: int) -> dict[str, Any]:
    logit = table["logit"].to_numpy(np.float64)
    whole, letters, elsewhere = (
        np.abs(logit - table[f"logit_{name}"].to_numpy(np.float64))
        for name in ("of_nothing", "without_letters", "without_elsewhere")
    )
    patient, patients = pd.factorize(table["patient"])
    row: dict[str, Any] = {
        "body_part": part,
        "count": len(table),
        "patients": len(patients),
        "flips": int(table["flips"].sum()),
        "mean_change": None,
        "score": None,
        "interval": None,
        "elsewhere": None,
        "difference_interval": None,
    }
    total = whole.sum()
    if total > 0:
        row["mean_change"] = float(letters.mean())
        row["score"] = float(letters.sum() / total)
        row["elsewhere"] = float(elsewhere.sum() / total)
    if total > 0 and len(patients) >= LEAST_PATIENTS:
        weights = draw_patients(len(patients), DRAWS, seed)[:, patient]
        totals = weights @ whole
        with np.errstate(invalid="ignore"):  # a draw of images alone that look like nothing
            row["interval"] = interval(weights @ letters / totals)
            row["difference_interval"] = interval(weights @ (letters - elsewhere) / totals)
    return row


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    grown = binary_dilation(mask, np.ones((3, 3), bool), iterations=_MARGIN)
    return mask if grown.all() else grown


def _elsewhere(mask: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """Return the mask, shifted at random to where it overlaps itself least of some tries."""
    best = mask
    for _ in range(_TRIES):
        shift = random.integers(0, mask.shape)
        moved = np.roll(mask, tuple(shift), axis=(0, 1))
        if (moved & mask).sum() < (best & mask).sum():
            best = moved
        if not (best & mask).any():
            break
    return best
