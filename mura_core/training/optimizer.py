"""Adam with gradient centralisation and a separate learning rate for the head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class CentralisedAdam(keras.optimizers.Adam):
    """Adam with gradient centralisation.

    The gradient of a kernel is centralised to mean zero over the inputs of each unit. After ReLU
    and pooling, all inputs of a unit are positive, so an uncentralised step moves the unit's output
    in the same direction for every image. A few noisy steps can then switch most units of a layer
    off permanently (docs/training.md has the counts). A centralised step has no such common
    component.

    Yong et al. 2020, "Gradient Centralization: A New Optimization Technique for Deep Neural
    Networks" (arXiv:2004.01461), equation 1.

    Parameters
    ----------
    centralised : iterable of keras.Variable
        Kernels whose gradients are centralised. Their last axis is the units.
    faster : iterable of keras.Variable
        Variables trained with another learning rate.
    factor : float
        Multiple of the learning rate for the variables in `faster`.
    **options
        Passed to `keras.optimizers.Adam`.
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
        # Inside a step there is one TensorFlow variable per device; keys identify them.
        self._centralised = {self._var_key(variable) for variable in centralised}
        self._faster = {self._var_key(variable) for variable in faster}
        self._factor = factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable, given its gradient and the learning rate."""
        key = self._var_key(variable)
        if key in self._centralised:
            axes = tuple(range(len(gradient.shape) - 1))
            gradient = gradient - keras.ops.mean(gradient, axis=axes, keepdims=True)
        if key in self._faster:
            learning_rate = learning_rate * self._factor
        super().update_step(gradient, variable, learning_rate)


def kernels(model: keras.Model) -> list[Any]:
    """Return the kernels of the dense and convolution layers that have several units.

    Layers with one unit are left out: they return a logit, which no activation can switch off. So
    are depthwise convolutions, whose units have a single input channel each.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of keras.Variable
    """
    kinds = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    inner = model._flatten_layers(include_self=False)
    found = [layer.kernel for layer in inner if isinstance(layer, kinds)]
    return [kernel for kernel in found if kernel.shape[-1] > 1]


def head_variables(model: keras.Model) -> list[Any]:
    """Return the trainable variables of the head.

    The head is all layers whose names begin with `logit` or `cells`. In a network with pretrained
    weights, these start from random weights.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of keras.Variable
    """
    return [
        variable
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if layer.name.startswith(("logit", "cells"))
        for variable in layer.trainable_variables
    ]
