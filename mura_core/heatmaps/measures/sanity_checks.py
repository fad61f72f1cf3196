"""Whether heatmaps depend on what a network has learned, and hold still when an image does.

A map that stays the same when the network is replaced by a random one shows the image, not the
network (Adebayo et al. 2018, arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps.measures.measure import LEARNING, SHUFFLED, Case, Measure
from mura_plugins.network import leaves

if TYPE_CHECKING:
    import keras

Maps = NDArray[np.float32]

_STAGES = (1 / 3, 2 / 3, 1.0)  # shares of the layers, after the last one alone
_DRAWS = 5
_NOISE = 0.02 * 255  # each pixel's greatest change, in grey levels
_STILL_ALIKE = 0.5  # rank correlation below which maps depend on what was learned

# How often an image is explained again: after randomising, at most, and with noise.
EXPLANATIONS = 1 + len(_STAGES) + _DRAWS


def rank_correlation(one: Maps, other: Maps) -> float:
    """Return Spearman's rank correlation of two maps of one shape.

    NaN where one of them is the same everywhere, such as an empty map: it has no ranks.
    """
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def max_sensitivity(case: Case) -> float:
    """Return the greatest change of a map when its image hardly changes, as a share of its size.

    Yeh et al. 2019, arXiv:1901.09392: five times, each pixel is changed by up to 2 % of the range
    of levels. An empty map's change is taken as it is.
    """
    size = np.linalg.norm(case.heat) or 1.0
    return float(max(np.linalg.norm(noisy - case.heat) for noisy in case.others["noisy"]) / size)


def noisy_images(images: NDArray[np.uint8], seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield images with a little noise, again and again, for `max_sensitivity`.

    Parameters
    ----------
    images : ndarray of shape (N, H, W), uint8
    seed : int
    """
    random = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        noise = random.uniform(-_NOISE, _NOISE, images.shape).astype(np.float32)
        yield images + noise


def after_randomising(
    model: keras.Model, explain: Callable[[], Maps], seed: int
) -> dict[float, Maps]:
    """Return maps while the model's weights are replaced, layer by layer from the logit down.

    A layer gets the weights it would begin training with. The statistics that standardise images
    stay. In the end the model is as it was.

    Parameters
    ----------
    model : keras.Model
    explain : callable
        Makes the maps of the model as it then is.
    seed : int

    Returns
    -------
    dict
        By the share of layers that are replaced: first the last one alone, in the end all.
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
    # As when a saved model is loaded, so whatever could be loaded can be made anew.
    fresh = type(layer).from_config(layer.get_config())
    fresh.build_from_config(layer.get_build_config())
    return fresh


def _randomised_sentence(learning: Mapping[str, Any]) -> str:
    randomised = learning["randomised"]
    _, high = randomised["interval"] or (0.0, 1.0)
    verb = "depend on what was learned" if high < _STILL_ALIKE else "may show the image alone"
    alike = f"to those of an untrained network {randomised['mean']:.2f}"
    if learning.get("shuffled_labels"):
        alike += f", of one trained on shuffled labels {learning['shuffled_labels']['mean']:.2f}"
    return f"its maps {verb} (rank correlation {alike})"


MEASURES = (
    Measure(
        "randomised",
        LEARNING,
        "Rank correlation to maps of an untrained network",
        "near 0",
        lambda case: rank_correlation(case.heat, case.others["randomised"]),
        sentence=_randomised_sentence,
    ),
    Measure(
        "shuffled_labels",
        LEARNING,
        "Rank correlation to maps of one trained on shuffled labels",
        "near 0",
        lambda case: rank_correlation(case.heat, case.others["shuffled"]),
        needs=SHUFFLED,
    ),
    Measure(
        "max_sensitivity",
        LEARNING,
        "Change of a map when its image hardly changes",
        "less",
        max_sensitivity,
    ),
)
