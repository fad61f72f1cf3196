"""Single heatmaps, scored as the bench does it."""

import numpy as np

from mura_core.heatmaps.measures import scores
from mura_core.heatmaps.measures.measure import FINDING, MARKED_SHARE, USE, Case
from mura_core.heatmaps.measures.occlusion import Occluded
from mura_plugins.network import Network


def localisation(heat: np.ndarray, mask: np.ndarray, share: float | None = None) -> dict:
    """Return how well a map marks a region."""
    case = Case(heat, np.zeros(mask.shape, np.uint8), region=mask, marked_share=share)
    return scores(case, FINDING, frozenset({MARKED_SHARE} if share else ()))


def faithfulness(network: Network, occluded: Occluded, heat: np.ndarray) -> dict:
    """Return how well a map says what the network's logit comes from."""
    assert occluded.network is network
    return scores(Case(heat, occluded.image, occluded=occluded), USE)
