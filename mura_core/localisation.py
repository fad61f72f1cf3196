"""Whether heatmaps mark what is known to be there, beside maps that don't look at the image.

A map that has learned nothing can still hit: findings lie near the centre, or where other findings
lay (Arun et al. 2021, Radiology: Artificial Intelligence 3, find the average of the training boxes
as good as Grad-CAM). So every figure stands beside a random map's, the centre's and the average
training box's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

MEASURES = ("pointing", "heat_share", "iou", "average_precision")
_DRAWS = 2000
_CONFIDENCE = 0.95

Masks = Sequence[NDArray[np.bool_]]


def localisation(
    heat: NDArray[np.float32], mask: NDArray[np.bool_], marked_share: float
) -> dict[str, float]:
    """Return how well one map marks a region.

    A map that is the same all over, such as an empty one, marks nothing: it gets what chance gives.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32
        Evidence; below 0 against. Enlarged to the mask's size by half-pixel bilinear interpolation.
    mask : ndarray of shape (H, W), bool
        The region, of at least one pixel.
    marked_share : float
        The share of the image that is called marked for `iou`; chosen on other images.

    Returns
    -------
    dict
        `pointing`: whether the hottest pixel lies in the region (the pointing game of Zhang et al.
        2018), ties counting by their share in it; `heat_share`: the share of the positive evidence
        in it; `iou`: intersection over union of the region and the hottest pixels;
        `average_precision`: of the pixels, ranked by heat.
    """
    from sklearn.metrics import average_precision_score

    size = (mask.shape[1], mask.shape[0])
    large = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR), np.float64)
    if np.ptp(large) == 0:
        share = float(mask.mean())
        by_chance = marked_share * share  # of the union's, on average
        return {
            "pointing": share,
            "heat_share": share,
            "iou": by_chance / (marked_share + share - by_chance),
            "average_precision": share,
        }
    hottest = large == large.max()
    positive = large.clip(0)
    marked = large >= np.quantile(large, 1 - marked_share)
    return {
        "pointing": float(mask[hottest].mean()),
        "heat_share": float(positive[mask].sum() / positive.sum()) if positive.any() else 0.0,
        "iou": float((marked & mask).sum() / (marked | mask).sum()),
        "average_precision": float(average_precision_score(mask.ravel(), large.ravel())),
    }


def fixed_maps(shape: tuple[int, int], training_masks: Masks) -> dict[str, NDArray[np.float32]]:
    """Return maps that are the same for every image: `centre` and `average_box`.

    Parameters
    ----------
    shape : tuple of int
        Of the maps, (h, w).
    training_masks : sequence of ndarray of shape (H, W), bool
        Regions of the training images; where there are none, there is no average.
    """
    height, width = shape
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(
        (rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5
    )  # of the place from the centre, in sides
    maps = {"centre": (1 - distance).astype(np.float32)}
    if training_masks:
        maps["average_box"] = np.mean(training_masks, axis=0, dtype=np.float32)
    return maps


def measure(
    maps: NDArray[np.float32],
    masks: Masks,
    training_masks: Masks,
    *,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return each map's measures, and their means beside those of maps that don't look.

    Parameters
    ----------
    maps : ndarray of shape (N, h, w), float32
    masks : sequence of N ndarrays of shape (H, W), bool
        Each image's region.
    training_masks : sequence of ndarray of shape (H, W), bool
        Regions of training images: their mean area is the `marked_share`.
    seed : int
        Of the random maps, and of the bootstrap over images.

    Returns
    -------
    table : DataFrame
        A row an image, a column for each of `MEASURES`.
    summary : dict
        `count`, `marked_share`; for each of `MEASURES` a dict with `mean`, `interval` (95 %), and
        `fixed`: of each other map its `mean` and the `interval` of the difference from it.
    """
    areas = [mask.mean() for mask in (training_masks or masks)]
    marked_share = float(np.mean(areas))
    fixed = fixed_maps(maps.shape[1:], training_masks)
    random = np.random.default_rng(seed)
    noise = random.random(maps.shape, np.float32)
    tables = {
        "own": [localisation(*pair, marked_share) for pair in zip(maps, masks, strict=True)],
        "random": [localisation(*pair, marked_share) for pair in zip(noise, masks, strict=True)],
        **{
            name: [localisation(heat, mask, marked_share) for mask in masks]
            for name, heat in fixed.items()
        },
    }
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    draws = random.integers(0, len(masks), (_DRAWS, len(masks)))
    summary: dict[str, Any] = {"count": len(masks), "marked_share": marked_share}
    for name in MEASURES:
        own = frames["own"][name].to_numpy()
        summary[name] = {
            "mean": float(own.mean()),
            "interval": _interval(own[draws]),
            "fixed": {
                other: {
                    "mean": float(frame[name].mean()),
                    "interval": _interval((own - frame[name].to_numpy())[draws]),
                }
                for other, frame in frames.items()
                if other != "own"
            },
        }
    return frames["own"], summary


def in_words(summary: Mapping[str, Any], what: str = "the finding") -> str:
    """Return one sentence: how often the hottest place is in the region, beside the fixed maps."""
    pointing = summary["pointing"]
    low, high = pointing["interval"]
    beside = ", ".join(
        f"{name.replace('_', ' ')} {fixed['mean']:.0%}" for name, fixed in pointing["fixed"].items()
    )
    beaten = all(fixed["interval"][0] > 0 for fixed in pointing["fixed"].values())
    verdict = "" if beaten else ": no better than a map that doesn't look at the image"
    return (
        f"its hottest place is in {what} in {pointing['mean']:.0%} of {summary['count']} images"
        f" (95 % interval {low:.0%} to {high:.0%}; {beside}){verdict}"
    )


def letters_in_words(summary: Mapping[str, Any]) -> str:
    """Return one sentence: how much of the heat lies on burnt-in letters, beside chance."""
    share = summary["heat_share"]
    low, high = share["interval"]
    chance = share["fixed"]["random"]
    more = chance["interval"][0] > 0
    return (
        f"{share['mean']:.1%} of its heat lies on burnt-in letters (95 % interval {low:.1%} to"
        f" {high:.1%}; by chance {chance['mean']:.1%}) in {summary['count']} images"
        + (": more than by chance" if more else "")
    )


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(draws.mean(axis=1), (tail, 1 - tail))
    return float(low), float(high)
