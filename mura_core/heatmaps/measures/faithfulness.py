"""Measure whether the network uses the pixels that a heatmap marks.

Marked pixels are hidden, or only they are shown, and the change of the logit is measured. Logits
are used because a probability hardly changes where the network is confident.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.inpainting import fill
from mura_core.heatmaps.measures.measure import USE, Case, Measure, score_by
from mura_core.heatmaps.measures.occlusion import Occluded
from mura_core.heatmaps.measures.wording import baselines_in_words, comparison
from mura_core.heatmaps.results import GroupScores

_STEPS = 20  # of 5 % of the pixels
_FILLED = (0.05, 0.1, 0.2)  # shares of the pixels that ROAD inpaints
_FILLING_NOISE = 0.01 * 255  # standard deviation in grey levels, as in Rong et al. 2022


def deletion(case: Case) -> float:
    """Return the mean logit while pixels are hidden, hottest first.

    Petsiuk et al. 2018, arXiv:1806.07421. Hidden pixels show the mean training image.

    Parameters
    ----------
    case : Case
        With `occluded`.
    """
    occluded = _occluded(case)
    return _mean_of_curve(occluded.logit, _curve(case, hides=True), occluded.baseline_logit)


def insertion(case: Case) -> float:
    """Return the mean logit while pixels are shown, hottest first.

    Petsiuk et al. 2018, arXiv:1806.07421. Hidden pixels show the mean training image.

    Parameters
    ----------
    case : Case
        With `occluded`.
    """
    occluded = _occluded(case)
    return _mean_of_curve(occluded.baseline_logit, _curve(case, hides=False), occluded.logit)


def road(case: Case) -> float:
    """Return the logit with the coldest pixels inpainted minus that with the hottest inpainted.

    The difference is averaged over 5, 10 and 20 % of the pixels (Rong et al. 2022,
    arXiv:2202.00449).

    Parameters
    ----------
    case : Case
        With `occluded`.
    """
    random = np.random.default_rng((_occluded(case).seed, 1))
    rank, filled = case.rank, []
    for share in _FILLED:
        count = round(share * rank.size)
        for hidden in (rank < count, rank >= rank.size - count):
            noise = random.normal(0, _FILLING_NOISE, rank.shape)
            filled.append(fill(case.image, hidden) + np.where(hidden, noise, 0).astype(np.float32))
    logits = case.network.logits(np.stack(filled)).astype(np.float64)
    return float((logits[1::2] - logits[::2]).mean())


def infidelity(case: Case) -> float:
    """Return the share of the logit drops that the heat in the hidden squares doesn't explain.

    It is 0 if the heat is proportional to the drops and 1 if it explains nothing. This is the
    infidelity of Yeh et al. 2019, arXiv:1901.09392, with the map scaled to fit best and divided by
    the mean squared drop.

    Parameters
    ----------
    case : Case
        With `occluded`.
    """
    occluded = _occluded(case)
    heats = [case.large[square].sum(dtype=np.float64) for square in occluded.squares]
    return unexplained_share(np.array(heats), occluded.drops)


def unexplained_share(predicted: NDArray[np.float64], drops: NDArray[np.float64]) -> float:
    """Return the share of the squared drops left after a least-squares fit of the predictions.

    The fit has one non-negative scale and no intercept: with a negative scale, a map that predicts
    the opposite would fit, too.

    Parameters
    ----------
    predicted : ndarray of shape (n,), float64
        Predicted drops, in any unit.
    drops : ndarray of shape (n,), float64
        Measured drops of the logit.
    """
    along = float(predicted @ drops)
    if along <= 0:
        return 0.0 if not drops.any() and not predicted.any() else 1.0
    return max(0.0, 1 - along**2 / float((predicted @ predicted) * (drops @ drops)))


def _occluded(case: Case) -> Occluded:
    assert case.occluded is not None, "the group has it"
    return case.occluded


def _curve(case: Case, *, hides: bool) -> NDArray[np.float64]:
    """Return the logits while more and more of the hottest pixels are hidden or shown."""
    counts = np.rint(np.arange(1, _STEPS) / _STEPS * case.rank.size)
    masks = ((case.rank < count) != hides for count in counts)
    seen = case.network.logits_through(case.image, [mask.astype(np.float32) for mask in masks])
    return seen.astype(np.float64)


def _mean_of_curve(first: float, logits: NDArray[np.float64], last: float) -> float:
    curve = np.array([first, *logits, last])
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def _deletion_sentence(use: GroupScores) -> str:
    measured = score_by("deletion", use)
    return (
        f"with the hottest pixels hidden first, the mean logit is {measured.mean:.2f}"
        f" ({baselines_in_words(measured, '.2f')}), {comparison(measured, -1)}"
    )


MEASURES = (
    Measure(
        "deletion",
        USE,
        "Deletion: mean logit, hottest pixels hidden first",
        "less",
        deletion,
        sentence=_deletion_sentence,
    ),
    Measure(
        "insertion",
        USE,
        "Insertion: mean logit, hottest pixels shown first",
        "more",
        insertion,
    ),
    Measure(
        "road",
        USE,
        "ROAD: logit without the coldest pixels minus that without the hottest",
        "more",
        road,
    ),
    Measure(
        "infidelity",
        USE,
        "Infidelity: share of the logit drops that the heat doesn't explain",
        "less",
        infidelity,
    ),
)
