"""Whether a heatmap marks what is known to be there, such as a finding, or burnt-in letters.

A map that has learned nothing can still hit: findings lie near the centre, or where other findings
lay (Arun et al. 2021, Radiology: Artificial Intelligence 3, find the average of the training boxes
as good as Grad-CAM). So each figure is compared with image-independent baselines.

A map that is the same everywhere, such as an empty one, marks nothing and gets what chance gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.measure import FINDING, LETTERS, MARKED_SHARE, Case, Measure
from mura_core.heatmaps.measures.wording import baselines_in_words, comparison, in_brackets
from mura_core.imaging import enlarge

Masks = Sequence[NDArray[np.bool_]]

# Of an image, called marked; the one that suits the training images is taken.
_SHARES = np.geomspace(0.0025, 0.32, 22)
_LEAST_FOR_PERCENTAGES = 20  # images; with fewer, their number is given


def pointing(case: Case) -> float:
    """Return whether the hottest pixel lies in the region: the pointing game (Zhang et al. 2018).

    Of several hottest pixels, the share of them in the region.
    """
    region, large = _region(case), case.large
    return float(region[large == large.max()].mean())


def heat_share(case: Case) -> float:
    """Return the share of the positive evidence that lies in the region."""
    region = _region(case)
    if np.ptp(case.large) == 0:
        return float(region.mean())
    positive = case.large.astype(np.float64).clip(0)
    return float(positive[region].sum() / positive.sum()) if positive.any() else 0.0


def average_precision(case: Case) -> float:
    """Return the average precision of the region's pixels, ranked by heat."""
    from sklearn.metrics import average_precision_score

    region = _region(case)
    if np.ptp(case.large) == 0:
        return float(region.mean())
    return float(average_precision_score(region.ravel(), case.large.ravel()))


def iou(case: Case) -> float:
    """Return intersection over union of the region and the hottest pixels.

    How many pixels are the hottest is the case's `marked_share`.
    """
    region, share = _region(case), case.marked_share
    assert share is not None, "the measure needs it"
    if np.ptp(case.large) == 0:
        area = float(region.mean())
        by_chance = share * area  # of the union's, on average
        return by_chance / (share + area - by_chance)
    return _ious(case.large.astype(np.float64), region, [share])[0]


def best_share(maps: Iterable[NDArray[np.float32]], masks: Masks) -> float:
    """Return which share of each image is best called marked: where the mean IoU is highest.

    Parameters
    ----------
    maps : iterable of N ndarrays of shape (h, w), float32
        Of images that aren't judged.
    masks : sequence of N ndarrays of shape (H, W), bool
    """
    means = np.mean(
        [_ious(enlarge(heat, *mask.shape), mask) for heat, mask in zip(maps, masks, strict=True)],
        axis=0,
    )
    return float(_SHARES[means.argmax()])


def _ious(
    large: NDArray[np.floating], mask: NDArray[np.bool_], shares: Sequence[float] = tuple(_SHARES)
) -> list[float]:
    thresholds = np.quantile(large, 1 - np.asarray(shares))
    marked = (large >= threshold for threshold in thresholds)
    return [float((one & mask).sum() / (one | mask).sum()) for one in marked]


def _region(case: Case) -> NDArray[np.bool_]:
    assert case.region is not None, "the group has a region"
    return case.region


def _pointing_sentence(finding: Mapping[str, Any]) -> str:
    measured, count = finding["pointing"], finding["count"]
    if count >= _LEAST_FOR_PERCENTAGES:
        share = f"{measured['mean']:.0%} of {count} images"
        brackets = in_brackets(measured["interval"], baselines_in_words(measured, ".0%"))
        return f"it marks the finding in {share}{brackets}, {comparison(measured, 1)}"
    return (
        f"it marks the finding in {measured['mean'] * count:.0f} of {count} images,"
        f" {comparison(measured, 1)}"
    )


def _letters_sentence(letters: Mapping[str, Any]) -> str:
    share = letters["heat_share"]
    chance = share["beside"]["random"]
    more = chance["interval"] is not None and chance["interval"][0] > 0
    by_chance = format(chance["mean"], ".1%") + " by chance"
    return (
        f"{share['mean']:.1%} of its heat is on letters"
        f"{in_brackets(share['interval'], by_chance, '.1%')}"
        + (", more than by chance" if more else "")
    )


MEASURES = (
    Measure(
        "pointing",
        FINDING,
        "Images whose hottest place lies in the finding",
        "more",
        pointing,
        sentence=_pointing_sentence,
    ),
    Measure("heat_share", FINDING, "Share of the heat in the finding", "more", heat_share),
    Measure(
        "iou",
        FINDING,
        "IoU of the finding and the hottest pixels",
        "more",
        iou,
        needs=MARKED_SHARE,
    ),
    Measure(
        "average_precision",
        FINDING,
        "Average precision of the finding's pixels",
        "more",
        average_precision,
    ),
)
LETTERS_MEASURES = (
    Measure(
        "heat_share",
        LETTERS,
        "Share of the heat on burnt-in letters",
        "less",
        heat_share,
        sentence=_letters_sentence,
    ),
)
