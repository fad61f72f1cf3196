"""Check the maps of an explainer, and that it leaves the network as it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.network import Network, leaves


def unusable_maps(maps: Any, count: int, shape: tuple[int, ...] | None = None) -> str:
    """Return why maps can't be drawn, as a clause; empty if they can.

    Parameters
    ----------
    maps : object
        What the explainer returned.
    count : int
        Number of images.
    shape : tuple of int, optional
        Shape (h, w) of the explainer's earlier maps for images of this size.
    """
    if not isinstance(maps, np.ndarray):
        return f"it returned a {type(maps).__name__}, not an ndarray of maps"
    if maps.ndim != 3 or not maps.size or (shape is not None and maps.shape[1:] != shape):
        expected = "h, w" if shape is None else ", ".join(map(str, shape))
        return f"maps have shape {maps.shape}; expected (N, {expected})"
    if len(maps) != count:
        return f"maps have shape {maps.shape}; expected (N, h, w) with N = {count}, one per image"
    if maps.dtype.kind not in "fiub":
        return f"maps are {maps.dtype}, not float32"
    if not np.isfinite(maps).all():
        return "maps contain NaN or infinity"
    return ""


def odd_maps(maps: NDArray[Any], *, signed: bool) -> str:
    """Return how maps that can be drawn break the contract, as a clause; empty if they don't.

    Parameters
    ----------
    maps : ndarray of shape (N, h, w)
    signed : bool
        Whether the record says that maps can have negative values.
    """
    if maps.dtype != np.float32:
        return f"maps are {maps.dtype}, not float32"
    if not signed and maps.min() < 0:
        return "an unsigned map has negative values"
    return ""


@dataclass(frozen=True, eq=False)
class NetworkState:
    """What an explainer must not change.

    Attributes
    ----------
    trainable : tuple of bool
        One for each leaf layer.
    answers : ndarray of shape (N, 1)
        The logits of some images.
    weights : bytes
        Digest of all weights.
    """

    trainable: tuple[bool, ...]
    answers: NDArray[np.float32]
    weights: bytes

    def differs_from(self, other: NetworkState) -> bool:
        """Return whether the network was changed. Logits may differ by rounding, as on GPUs."""
        return (
            self.trainable != other.trainable
            or self.weights != other.weights
            or not np.allclose(self.answers, other.answers, rtol=1e-4, atol=1e-4, equal_nan=True)
        )


def network_state(network: Network, images: NDArray[np.generic]) -> NetworkState:
    """Return the state of a network.

    Parameters
    ----------
    network : Network
    images : ndarray of shape (N, H, W)
        A few images, whose logits are part of the state.
    """
    # Not by the network's traced functions, which wouldn't see another activation of a layer.
    pixels = images[..., None].astype(np.float32)
    answers = np.asarray(network.model(pixels, training=False), np.float32)
    digest = hashlib.blake2b()
    for weight in network.model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    trainable = tuple(layer.trainable for layer in leaves(network.model))
    return NetworkState(trainable, answers, digest.digest())
