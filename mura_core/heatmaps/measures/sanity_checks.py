"""Check that heatmaps depend on the learned weights and are stable under slight noise.

A map that doesn't change when the weights are randomised shows the image, not the network (Adebayo
et al. 2018, arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.measure import LEARNING, SHUFFLED, Case, Measure, score_by
from mura_core.heatmaps.results import GroupScores
from mura_plugins.network import leaves

if TYPE_CHECKING:
    import keras

Maps = NDArray[np.float32]

_STAGES = (1 / 3, 2 / 3, 1.0)  # randomised shares of the layers; the last layer goes first
_DRAWS = 5
_NOISE = 0.02 * 255  # maximum change of a pixel, in grey levels
_STILL_ALIKE = 0.5  # rank correlation below which maps are said to depend on the learned weights

# Maximum number of extra explanations per image: one per stage and one per draw of noise.
EXPLANATIONS = 1 + len(_STAGES) + _DRAWS


def rank_correlation(one: Maps, other: Maps) -> float:
    """Return Spearman's rank correlation of two maps.

    Parameters
    ----------
    one, other : ndarray of shape (h, w), float32

    Returns
    -------
    float
        NaN if a map is constant, such as an empty one, since it has no ranks.
    """
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def max_sensitivity(case: Case) -> float:
    """Return the largest change of a map under slight noise, divided by the norm of the map.

    Yeh et al. 2019, arXiv:1901.09392. In each of five draws, every pixel is changed by up to 2 % of
    the range of grey levels. The change of an empty map isn't divided.

    Parameters
    ----------
    case : Case
        With the `noisy` maps in `others`.
    """
    size = np.linalg.norm(case.heat) or 1.0
    return float(max(np.linalg.norm(noisy - case.heat) for noisy in case.others["noisy"]) / size)


def noisy_images(images: NDArray[np.uint8], seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield the images with slight noise, five times, for `max_sensitivity`.

    Parameters
    ----------
    images : ndarray of shape (N, H, W), uint8
        The original images.
    seed : int
        Random seed of the noise.

    Yields
    ------
    ndarray of shape (N, H, W), float32
    """
    random = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        noise = random.uniform(-_NOISE, _NOISE, images.shape).astype(np.float32)
        yield images + noise


def after_randomising(
    model: keras.Model, explain: Callable[[], Maps], seed: int
) -> dict[float, Maps]:
    """Return maps while the model's weights are randomised in stages, from the last layer down.

    Layers get freshly initialised weights. The standardisation layer keeps its statistics. The
    model's weights are restored afterwards.

    Parameters
    ----------
    model : keras.Model
        The trained model.
    explain : callable
        Function without arguments that returns the maps of the model in its current state.
    seed : int
        Random seed of the weights. Sets Keras' global seed.

    Returns
    -------
    dict of ndarray
        Maps by the share of layers that is randomised, from only the last layer to all (1.0).
    """
    import keras

    learned = [
        layer
        for layer in leaves(model)
        if layer.weights and not isinstance(layer, keras.layers.Normalization)
    ]
    keras.utils.set_random_seed(seed)
    kept = model.get_weights()
    maps = {}
    done = 0
    try:
        for share in (1 / len(learned), *_STAGES):
            until = round(share * len(learned))
            if until > done:
                for layer in learned[::-1][done:until]:
                    layer.set_weights(_untrained(layer).get_weights())
                done = until
                maps[done / len(learned)] = explain()
    finally:
        model.set_weights(kept)
    return maps


def _untrained(layer: keras.Layer) -> keras.Layer:
    # The same calls as when a saved model is loaded, so that they work for any layer.
    fresh = type(layer).from_config(layer.get_config())
    fresh.build_from_config(layer.get_build_config())
    return fresh


def _randomised_sentence(learning: GroupScores) -> str:
    randomised = score_by("randomised", learning)
    _, high = randomised.interval or (0.0, 1.0)
    verb = "depend on what was learned" if high < _STILL_ALIKE else "may show only the image"
    alike = f"with those of an untrained network {randomised.mean:.2f}"
    if shuffled := learning.measures.get("shuffled_labels"):
        alike += f", of one trained on shuffled labels {shuffled.mean:.2f}"
    return f"its maps {verb} (rank correlation {alike})"


MEASURES = (
    Measure(
        "randomised",
        LEARNING,
        "Rank correlation with maps of an untrained network",
        "near 0",
        lambda case: rank_correlation(case.heat, case.others["randomised"]),
        sentence=_randomised_sentence,
    ),
    Measure(
        "shuffled_labels",
        LEARNING,
        "Rank correlation with maps of a network trained on shuffled labels",
        "near 0",
        lambda case: rank_correlation(case.heat, case.others["shuffled"]),
        needs=SHUFFLED,
    ),
    Measure(
        "max_sensitivity",
        LEARNING,
        "Max-sensitivity: relative change of the map under slight noise",
        "less",
        max_sensitivity,
    ),
)
