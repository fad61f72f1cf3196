"""Detect a network that gives every image the same answer, and find the layer that caused it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import MuraError
from mura_core.evaluation import SAME_ANSWER, is_constant
from mura_plugins.network import leaves

if TYPE_CHECKING:
    import keras


_IMAGES = 32  # of which the active units are counted
_AT_ONCE = 4


class TrainingCollapsed(MuraError):
    """A training ended in a network that can't tell images apart.

    Parameters
    ----------
    epoch : int
        From 1, at whose end it was noticed.
    reason : str
        What is wrong, as a clause.
    """

    def __init__(self, epoch: int, reason: str) -> None:
        super().__init__(f"epoch {epoch}: {reason}")
        self.epoch = epoch
        self.reason = reason


@dataclass(frozen=True)
class ActiveUnits:
    """The layer of a network with the smallest share of active units.

    Attributes
    ----------
    layer : str
        Its name; of several, the first one that the network applies.
    share : float
        The share of its units (channels) that are above 0 somewhere in some image.
    """

    layer: str
    share: float


def collapse_reason(
    logits: NDArray[np.floating], least_active: ActiveUnits | None, loss: float
) -> str | None:
    """Return why a network can't be trained any further, as a clause, or None.

    Parameters
    ----------
    logits : ndarray of shape (n,)
        Of training images of both labels.
    least_active : ActiveUnits or None
        As `least_active_layer` returns it.
    loss : float
        The mean loss of the epoch.
    """
    if not np.isfinite(loss) or not np.isfinite(logits).all():
        return "the training diverged: its loss or its logits are not finite numbers"
    if not is_constant(logits):
        return None
    if least_active is not None and least_active.share == 0:
        return f"{SAME_ANSWER}, since no unit of its layer {least_active.layer} is ever active"
    return SAME_ANSWER


def least_active_layer(model: keras.Model, images: NDArray[np.uint8]) -> ActiveUnits | None:
    """Return the layer of which the smallest share of units is ever active.

    A unit is a channel of a layer whose outputs are never negative, such as a ReLU or what is
    pooled from one; it is active if it is above 0 at some place of some image. Once no unit of a
    layer is, nothing of the image passes through it, and no gradient passes back.

    Parameters
    ----------
    model : keras.Model
        From raw images (N, H, W, 1) to logits; functional, nested or subclassed.
    images : ndarray of shape (N, H, W), uint8
        The first 32 are used.

    Returns
    -------
    ActiveUnits or None
        None for a network without any such layer.
    """
    import keras

    highest: dict[int, NDArray[np.float32]] = {}  # of each layer's units, over all images so far
    lowest: dict[int, float] = {}
    names: dict[int, str] = {}

    def look(layer: keras.Layer, output: Any) -> None:
        if not hasattr(output, "dtype") or len(output.shape) < 2:
            return
        # Reduced where it was computed: the features of a few images are hundreds of megabytes.
        axes = tuple(range(len(output.shape) - 1))
        own, low = (
            keras.ops.convert_to_numpy(keras.ops.cast(reduced, "float32"))  # NumPy has no bfloat16
            for reduced in (keras.ops.max(output, axis=axes), keras.ops.min(output))
        )
        names[id(layer)] = layer.name
        highest[id(layer)] = np.maximum(highest.get(id(layer), own), own)
        lowest[id(layer)] = min(lowest.get(id(layer), np.inf), float(low))

    with _observed(model, look):
        for start in range(0, min(len(images), _IMAGES), _AT_ONCE):
            batch = images[start : min(start + _AT_ONCE, _IMAGES), ..., None]
            model(batch.astype(np.float32), training=False)
    found = [
        ActiveUnits(names[key], float((units > 0).mean()))
        for key, units in highest.items()
        if lowest[key] >= 0
    ]
    return min(found, key=lambda one: one.share, default=None)


@contextmanager
def _observed(model: keras.Model, look: Any) -> Iterator[None]:
    """Call `look` with each layer that holds no others, and what it returns, in their order."""
    layers = list({id(leaf): leaf for leaf in leaves(model)}.values())
    originals = [leaf.call for leaf in layers]

    def observing(layer: keras.Layer, call: Any) -> Any:
        def observed(*arguments: Any, **options: Any) -> Any:
            output = call(*arguments, **options)
            look(layer, output)
            return output

        return observed

    for layer, call in zip(layers, originals, strict=True):
        layer.call = observing(layer, call)
    try:
        yield
    finally:
        for layer, call in zip(layers, originals, strict=True):
            layer.call = call
