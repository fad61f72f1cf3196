"""Whether a heatmap marks what is known to be there, such as a finding, or burnt-in letters.

A map that has learned nothing can still hit: findings lie near the centre, or where other findings
lay (Arun et al. 2021, Radiology: Artificial Intelligence 3, find the average of the training boxes
as good as Grad-CAM). So a figure needs those of maps beside it that don't look at the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mura_core.imaging import enlarge

Masks = Sequence[NDArray[np.bool_]]

# Of an image, called marked; the one that suits the training images is taken.
_SHARES = np.geomspace(0.0025, 0.32, 22)


def localisation(
    heat: NDArray[np.float32], mask: NDArray[np.bool_], marked_share: float | None = None
) -> dict[str, float]:
    """Return how well one map marks a region.

    A map that is the same all over, such as an empty one, marks nothing: it gets what chance gives.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32
        Enlarged to the mask's size by bilinear interpolation.
    mask : ndarray of shape (H, W), bool
        The region, of at least one pixel.
    marked_share : float, optional
        The share of the image that is called marked, chosen on other images (`best_share`).

    Returns
    -------
    dict
        `pointing`: whether the hottest pixel lies in the region (the pointing game of Zhang et al.
        2018), ties counting by their share in it; `heat_share`: the share of the positive evidence
        in it; `average_precision`: of the pixels, ranked by heat; and with a marked share `iou`:
        intersection over union of the region and the hottest pixels.
    """
    from sklearn.metrics import average_precision_score

    large = enlarge(heat, *mask.shape).astype(np.float64)
    if np.ptp(large) == 0:
        area = float(mask.mean())
        found = {"pointing": area, "heat_share": area, "average_precision": area}
        if marked_share is not None:
            by_chance = marked_share * area  # of the union's, on average
            found["iou"] = by_chance / (marked_share + area - by_chance)
        return found
    positive = large.clip(0)
    found = {
        "pointing": float(mask[large == large.max()].mean()),
        "heat_share": float(positive[mask].sum() / positive.sum()) if positive.any() else 0.0,
        "average_precision": float(average_precision_score(mask.ravel(), large.ravel())),
    }
    if marked_share is not None:
        [found["iou"]] = _ious(large, mask, [marked_share])
    return found


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
