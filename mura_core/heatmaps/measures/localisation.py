"""Measure whether a heatmap marks a known region, such as a finding or burnt-in letters.

A map can hit a finding without having learned anything, since findings lie near the centre and
where other findings were (Arun et al. 2021, Radiology: Artificial Intelligence 3, find the average
of the training boxes as good as Grad-CAM). So each score is compared with image-independent
baselines.

A constant map, such as an empty one, marks nothing and gets the score expected by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.measure import (
    FINDING,
    LETTERS,
    MARKED_SHARE,
    Case,
    Measure,
    score_by,
)
from mura_core.heatmaps.measures.wording import baselines_in_words, comparison, in_brackets
from mura_core.heatmaps.results import GroupScores
from mura_core.imaging import enlarge

Masks = Sequence[NDArray[np.bool_]]

# Shares of an image's pixels that may count as marked; the best on training images is used.
_SHARES = np.geomspace(0.0025, 0.32, 22)
_LEAST_FOR_PERCENTAGES = 20  # images; sentences on fewer give counts instead


def pointing(case: Case) -> float:
    """Return 1 if the hottest pixel is in the region, else 0: the pointing game.

    Zhang et al. 2018. If several pixels are equally hot, it is the share of them in the region.

    Parameters
    ----------
    case : Case
        With `region`.
    """
    region, large = _region(case), case.large
    return float(region[large == large.max()].mean())


def heat_share(case: Case) -> float:
    """Return the share of the positive evidence that is in the region.

    Parameters
    ----------
    case : Case
        With `region`.
    """
    region = _region(case)
    if np.ptp(case.large) == 0:
        return float(region.mean())
    positive = case.large.astype(np.float64).clip(0)
    return float(positive[region].sum() / positive.sum()) if positive.any() else 0.0


def average_precision(case: Case) -> float:
    """Return the average precision of the region's pixels, ranked by heat.

    Parameters
    ----------
    case : Case
        With `region`.
    """
    from sklearn.metrics import average_precision_score

    region = _region(case)
    if np.ptp(case.large) == 0:
        return float(region.mean())
    return float(average_precision_score(region.ravel(), case.large.ravel()))


def iou(case: Case) -> float:
    """Return the intersection over union of the region and the hottest pixels.

    Parameters
    ----------
    case : Case
        With `region`, and with `marked_share`, the share of the pixels that counts as the hottest.
    """
    region, share = _region(case), case.marked_share
    assert share is not None, "the measure needs it"
    if np.ptp(case.large) == 0:
        area = float(region.mean())
        by_chance = share * area  # expected intersection with a random selection of pixels
        return by_chance / (share + area - by_chance)
    return _ious(case.large.astype(np.float64), region, [share])[0]


def best_share(maps: Iterable[NDArray[np.float32]], masks: Masks) -> float:
    """Return the share of hottest pixels with the highest mean IoU.

    Parameters
    ----------
    maps : iterable of N ndarrays of shape (h, w), float32
        Maps of training images, never of judged ones.
    masks : sequence of N ndarrays of shape (H, W), bool
        The region in each of the images.
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


def _pointing_sentence(finding: GroupScores) -> str:
    measured, count = score_by("pointing", finding), finding.count
    if count >= _LEAST_FOR_PERCENTAGES:
        share = f"{measured.mean:.0%} of {count} images"
        brackets = in_brackets(measured.interval, baselines_in_words(measured, ".0%"))
        return f"it marks the finding in {share}{brackets}, {comparison(measured, 1)}"
    return (
        f"it marks the finding in {measured.mean * count:.0f} of {count} images,"
        f" {comparison(measured, 1)}"
    )


def _letters_sentence(letters: GroupScores) -> str:
    share = score_by("heat_share", letters)
    chance = share.baselines["random"]
    more = chance.interval is not None and chance.interval[0] > 0
    by_chance = format(chance.mean, ".1%") + " by chance"
    return (
        f"{share.mean:.1%} of its heat is on letters"
        f"{in_brackets(share.interval, by_chance, '.1%')}"
        + (", more than by chance" if more else "")
    )


MEASURES = (
    Measure(
        "pointing",
        FINDING,
        "Images whose hottest pixel is in the finding",
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
