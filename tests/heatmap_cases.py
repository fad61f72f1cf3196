"""Single heatmaps, scored as the bench does it."""

import numpy as np

from mura_core.heatmaps.measures import scores
from mura_core.heatmaps.measures.measure import FINDING, MARKED_SHARE, USE, Case
from mura_core.heatmaps.measures.occlusion import occlude
from mura_plugins.network import Network


def localisation(heat: np.ndarray, mask: np.ndarray, share: float | None = None) -> dict:
    """Return how well a map marks a region."""
    case = Case(heat, np.zeros(mask.shape, np.uint8), region=mask, marked_share=share)
    return scores(case, FINDING, frozenset({MARKED_SHARE} if share else ()))


def faithfulness(network: Network, image: np.ndarray, heat: np.ndarray, seed: int) -> dict:
    """Return how well a map says what the network's logit comes from."""
    return scores(Case(heat, image, occluded=occlude(network, image, seed)), USE)
