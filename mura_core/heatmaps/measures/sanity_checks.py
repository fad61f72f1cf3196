"""Whether heatmaps depend on what a network has learned, and hold still when an image does.

A map that stays the same when the network is replaced by a random one shows the image, not the
network (Adebayo et al. 2018, arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import leaves

if TYPE_CHECKING:
    import keras

Maps = NDArray[np.float32]

_STAGES = (1 / 3, 2 / 3, 1.0)  # shares of the layers, after the last one alone
_DRAWS = 5
_NOISE = 0.02 * 255  # each pixel's greatest change, in grey levels

# How often `after_randomising`, at most, and `greatest_change` together explain an image.
EXPLANATIONS = 1 + len(_STAGES) + _DRAWS


def similarity(maps: Maps, others: Maps) -> NDArray[np.float64]:
    """Return how alike each pair of maps is: Spearman's rank correlation of their places, (N,).

    NaN where one of the two is the same all over, such as an empty map: it has no ranks.

    Parameters
    ----------
    maps, others : ndarrays of shape (N, h, w), float32
    """
    from scipy.stats import spearmanr

    return np.array(
        [
            float(spearmanr(one.ravel(), other.ravel()).statistic)
            if np.ptp(one) > 0 and np.ptp(other) > 0
            else np.nan
            for one, other in zip(maps, others, strict=True)
        ]
    )


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


def greatest_change(
    explain: Callable[[NDArray[np.float32]], Maps],
    images: NDArray[np.uint8],
    maps: Maps,
    seed: int,
) -> NDArray[np.float64]:
    """Return by how much of its size each map changes when the image hardly does, at most, (N,).

    That is max-sensitivity (Yeh et al. 2019, arXiv:1901.09392): five times, each pixel is changed
    by up to 2 % of the range of levels. An empty map's change is taken as it is.

    Parameters
    ----------
    explain : callable
        Makes maps of images (N, H, W).
    images : ndarray of shape (N, H, W), uint8
    maps : ndarray of shape (N, h, w), float32
        Of the images as they are.
    seed : int
    """
    random = np.random.default_rng(seed)
    sizes = np.linalg.norm(maps.reshape(len(maps), -1), axis=1)
    sizes[sizes == 0] = 1
    greatest = np.zeros(len(maps))
    for _ in range(_DRAWS):
        noise = random.uniform(-_NOISE, _NOISE, images.shape).astype(np.float32)
        change = (explain(images + noise) - maps).reshape(len(maps), -1)
        greatest = np.maximum(greatest, np.linalg.norm(change, axis=1) / sizes)
    return greatest
