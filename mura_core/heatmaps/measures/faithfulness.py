"""Whether a network uses what a heatmap marks, and not something else.

What a map marks is hidden, or is all that is seen, and the logit tells. Everything is in logits: a
probability hardly moves where the network is sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.inpainting import fill
from mura_core.imaging import enlarge
from mura_plugins.network import Network

# Whether more of a measure is better, or less.
BETTER = {"deletion": -1, "insertion": 1, "road": 1, "infidelity": -1}

_STEPS = 20  # of 5 % of the pixels
_FILLED = (0.05, 0.1, 0.2)  # shares of the pixels
_FILLING_NOISE = 0.01 * 255  # its deviation, as in the paper, in grey levels
_SQUARES = 40
_LEAST_SIDE, _GREATEST_SIDE = 1 / 14, 1 / 3  # of a hidden square, in sides of the image


@dataclass(frozen=True)
class Probed:
    """An image, and what its network says where squares of it are hidden.

    Parameters
    ----------
    image : ndarray of shape (H, W), uint8
    logit, baseline_logit : float
        Of the image, and of the image that shows nothing.
    squares : list of (slice, slice)
    falls : ndarray of shape (squares,), float64
        The logit less that without the square.
    seed : int
        Of whatever is random: the same for every map of this image.
    """

    image: NDArray[np.uint8]
    logit: float
    baseline_logit: float
    squares: list[tuple[slice, slice]]
    falls: NDArray[np.float64]
    seed: int


def probe(network: Network, image: NDArray[np.uint8], seed: int) -> Probed:
    """Return what the network says of an image where squares of it are hidden."""
    random = np.random.default_rng(seed)
    squares = [_square(image.shape, random) for _ in range(_SQUARES)]
    masks = np.ones((_SQUARES, *image.shape), np.float32)
    for mask, square in zip(masks, squares, strict=True):
        mask[square] = 0
    ends = np.stack([image.astype(np.float32), network.baseline])
    logit, baseline_logit = (float(one) for one in network.logits(ends))
    falls = logit - network.logits_through(image, masks).astype(np.float64)
    return Probed(image, logit, baseline_logit, squares, falls, seed)


def faithfulness(network: Network, probed: Probed, heat: NDArray[np.float32]) -> dict[str, float]:
    """Return how well one map says what the network's logit comes from.

    Parameters
    ----------
    network : Network
    probed : Probed
    heat : ndarray of shape (h, w), float32
        Evidence for 'abnormal', and below 0 against it.

    Returns
    -------
    dict
        `deletion`: the mean logit while pixels are hidden, the hottest first; less is better.
        `insertion`: the mean logit while pixels are shown, the hottest first; more is better (both
        Petsiuk et al. 2018, arXiv:1806.07421). A hidden pixel shows the mean training image.
        `road`: the logit with the coldest pixels filled in less that with the hottest, the mean
        over 5, 10 and 20 % of them; more is better (Rong et al. 2022, arXiv:2202.00449).
        `infidelity`: how badly the heat in squares foretells the logit's fall when they are hidden,
        0 where it is proportional to it, 1 where it says nothing; less is better (Yeh et al. 2019,
        arXiv:1901.09392, with the scale that suits the map best, as a share of what there is to
        foretell).

    Notes
    -----
    Pixels of the same heat take turns at random: their order in memory would decide curves of maps
    that are 0 nearly everywhere.
    """
    random = np.random.default_rng(probed.seed)
    large = enlarge(heat, *probed.image.shape)
    order = np.lexsort((random.random(large.size), -large.ravel()))  # the hottest pixel first
    rank = np.empty(large.shape, np.intp)
    rank.flat[order] = np.arange(large.size)
    counts = np.rint(np.arange(1, _STEPS) / _STEPS * large.size)
    hottest = [rank < count for count in counts]
    masks = [(~hot).astype(np.float32) for hot in hottest]
    masks += [hot.astype(np.float32) for hot in hottest]
    curves = network.logits_through(probed.image, masks).reshape(2, -1)
    deleted = np.array([probed.logit, *curves[0], probed.baseline_logit], np.float64)
    inserted = np.array([probed.baseline_logit, *curves[1], probed.logit], np.float64)
    return {
        "deletion": _mean_of_curve(deleted),
        "insertion": _mean_of_curve(inserted),
        "road": _road(network, probed.image, rank, random),
        "infidelity": infidelity(
            np.array([large[square].sum(dtype=np.float64) for square in probed.squares]),
            probed.falls,
        ),
    }


def infidelity(foretold: NDArray[np.float64], falls: NDArray[np.float64]) -> float:
    """Return the share of the logit's falls that aren't proportional to what was foretold."""
    along = float(foretold @ falls)
    if along <= 0:
        return 0.0 if not falls.any() and not foretold.any() else 1.0
    return max(0.0, 1 - along**2 / float((foretold @ foretold) * (falls @ falls)))


def _road(
    network: Network,
    image: NDArray[np.uint8],
    rank: NDArray[np.intp],
    random: np.random.Generator,
) -> float:
    filled = []
    for share in _FILLED:
        count = round(share * rank.size)
        for hidden in (rank < count, rank >= rank.size - count):
            noise = random.normal(0, _FILLING_NOISE, image.shape)
            filled.append(fill(image, hidden) + np.where(hidden, noise, 0).astype(np.float32))
    logits = network.logits(np.stack(filled)).astype(np.float64)
    return float((logits[1::2] - logits[::2]).mean())


def _mean_of_curve(logits: NDArray[np.float64]) -> float:
    return float(np.trapezoid(logits, dx=1 / (len(logits) - 1)))


def _square(shape: tuple[int, ...], random: np.random.Generator) -> tuple[slice, slice]:
    share = random.uniform(_LEAST_SIDE, _GREATEST_SIDE)
    sides = [max(1, round(share * length)) for length in shape]
    starts = [
        int(random.integers(0, length - side + 1))
        for length, side in zip(shape, sides, strict=True)
    ]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns
