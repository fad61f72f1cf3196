"""Adam with centralised gradients, and with a learning rate of its own for some layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class CentralisedAdam(keras.optimizers.Adam):
    """Adam whose kernel gradients have mean zero over the inputs of each unit.

    Behind ReLU and pooling all inputs of a unit are positive, so an uncentralised step moves the
    unit's output the same way for every image: a few noisy steps switch most units of a layer off
    for good (docs/training.md has the counts). Without the mean of its gradient a step tells images
    apart or does nothing.

    Yong et al. 2020, "Gradient Centralization: A New Optimization Technique for Deep Neural
    Networks" (arXiv:2004.01461), equation 1.

    Parameters
    ----------
    centralised : iterable of keras.Variable
        The kernels whose gradients are centralised; the last axis is that of the units.
    faster : iterable of keras.Variable
        The variables that take larger steps than the others.
    factor : float
        Their learning rate, as a multiple of the others'.
    **options
        Those of `keras.optimizers.Adam`.
    """

    def __init__(
        self,
        *,
        centralised: Iterable[Any] = (),
        faster: Iterable[Any] = (),
        factor: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        # Inside a step the variables are TensorFlow's, one a device: a key tells them apart.
        self._centralised = {self._var_key(variable) for variable in centralised}
        self._faster = {self._var_key(variable) for variable in faster}
        self._factor = factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by its gradient."""
        key = self._var_key(variable)
        if key in self._centralised:
            axes = tuple(range(len(gradient.shape) - 1))
            gradient = gradient - keras.ops.mean(gradient, axis=axes, keepdims=True)
        if key in self._faster:
            learning_rate = learning_rate * self._factor
        super().update_step(gradient, variable, learning_rate)


def kernels(model: keras.Model) -> list[Any]:
    """Return the kernels of a model's dense layers and convolutions that have several units.

    A layer of one unit gives a logit, which no activation can switch off. Depthwise convolutions
    aren't among them either: each of their units has a single input channel.
    """
    kinds = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    inner = model._flatten_layers(include_self=False)
    found = [layer.kernel for layer in inner if isinstance(layer, kinds)]
    return [kernel for kernel in found if kernel.shape[-1] > 1]


def head_variables(model: keras.Model) -> list[Any]:
    """Return the trainable variables of the layers that are named as those of a head are.

    Their names begin with `logit` or `cells`: in a network with pretrained weights they are new.
    """
    return [
        variable
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if layer.name.startswith(("logit", "cells"))
        for variable in layer.trainable_variables
    ]
