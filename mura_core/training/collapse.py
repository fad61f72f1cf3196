"""Detect a network that gives every image the same answer, and find its least active layer."""

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


_IMAGES = 32  # on which active units are counted
_AT_ONCE = 4


class TrainingCollapsed(MuraError):
    """Training diverged, or the network gives every image the same answer.

    Parameters
    ----------
    epoch : int
        The epoch after which it was detected, from 1.
    reason : str
        What is wrong, as a clause.
    """

    def __init__(self, epoch: int, reason: str) -> None:
        super().__init__(f"epoch {epoch}: {reason}")
        self.epoch = epoch
        self.reason = reason


@dataclass(frozen=True)
class ActiveUnits:
    """The layer with the smallest share of active units.

    Attributes
    ----------
    layer : str
        Name of the layer; of several, the first one that the network applies.
    share : float
        Share of its units (channels) that are above 0 anywhere in any image, from 0 to 1.
    """

    layer: str
    share: float


def collapse_reason(
    logits: NDArray[np.floating], least_active: ActiveUnits | None, loss: float
) -> str | None:
    """Return why training can't continue, as a clause, or None if it can.

    Parameters
    ----------
    logits : ndarray of shape (n,)
        Logits of training images of both labels.
    least_active : ActiveUnits or None
        As returned by `least_active_layer`.
    loss : float
        Mean loss of the epoch.
    """
    if not np.isfinite(loss) or not np.isfinite(logits).all():
        return "the training diverged: the loss or a logit is not finite"
    if not is_constant(logits):
        return None
    if least_active is not None and least_active.share == 0:
        return f"{SAME_ANSWER}, because no unit of its layer {least_active.layer} is ever active"
    return SAME_ANSWER


def least_active_layer(model: keras.Model, images: NDArray[np.uint8]) -> ActiveUnits | None:
    """Return the layer with the smallest share of active units.

    A unit is a channel of a layer whose outputs are never negative, such as a ReLU or a pooling
    layer after it. It is active if it is above 0 anywhere in any image. If no unit of a layer is
    active, the layer passes on neither information about the image nor gradients.

    Parameters
    ----------
    model : keras.Model
        From raw images (N, H, W, 1) to logits; functional, nested or subclassed.
    images : ndarray of shape (N, H, W), uint8
        The first 32 are used.

    Returns
    -------
    ActiveUnits or None
        None if every layer has negative outputs.
    """
    import keras

    highest: dict[int, NDArray[np.float32]] = {}  # each unit's maximum over the images so far
    lowest: dict[int, float] = {}
    names: dict[int, str] = {}

    def look(layer: keras.Layer, output: Any) -> None:
        if not hasattr(output, "dtype") or len(output.shape) < 2:
            return
        # Reduced on the device: the features of a few images are hundreds of megabytes.
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
    """Call `look(layer, output)` for each leaf layer, in the order in which they are applied."""
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
