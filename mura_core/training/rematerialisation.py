"""Recompute features in the backward pass: less memory, about a third more computation.

A network is cut where a single tensor leads from one part to the next. In training only these
tensors are kept; the features inside a part are computed again for its gradient (Chen et al. 2016,
"Training Deep Nets with Sublinear Memory Cost"). The result is the same, because both times a part
starts from the same state (dropout masks, moving statistics).

TensorFlow's and Keras' own ways don't do. `tf.recompute_grad` around a network draws other dropout
masks in the second pass, so that the gradient is wrong, and keeps its features all the same.
`keras.RematScope` (Keras 3.15) fails in a traced training step, since the layers of a functional
model get `training` as a keyword.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import keras
import tensorflow as tf

from mura_core.errors import UsageError


class Rematerialised(keras.layers.Layer):
    """A network whose features are recomputed in training. It shares the network's weights.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, with one input and one output tensor.
    **options
        Passed to `keras.layers.Layer`.

    Raises
    ------
    UsageError
        The network is subclassed, or can't be cut at a single tensor.
    """

    def __init__(self, network: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        pieces = list(_pieces(_functional(network)))
        if len(pieces) < 2:
            raise UsageError(f"--rematerialise: {network.name} can't be cut into parts")
        self.parts = [keras.Model(*ends) for ends in _grouped(pieces)]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the output of the network."""
        for part in self.parts:
            inputs = _recomputed(part, inputs) if training else part(inputs, training=False)
        return inputs


def _recomputed(part: keras.Model, inputs: tf.Tensor) -> tf.Tensor:
    weights = [tf.convert_to_tensor(variable.value) for variable in part.trainable_variables]
    state = [tf.convert_to_tensor(variable.value) for variable in part.non_trainable_variables]
    state_after: list[tf.Tensor] = []

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def forward(inputs: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, Any]:
        outputs, after = part.stateless_call(weights, state, inputs, training=True)
        state_after[:] = after

        def gradients(upstream: tf.Tensor) -> list[tf.Tensor]:
            # If the features depended on the inputs only, TensorFlow could compute them early or
            # merge them with the first ones: they must appear to depend on the upstream gradient.
            first = tf.reshape(upstream, [-1])[0]
            nothing = tf.where(first == first, 0.0, float("nan"))
            later = inputs + tf.cast(nothing, inputs.dtype)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([later, *weights])
                again, _ = part.stateless_call(weights, state, later, training=True)
            return tape.gradient(again, [later, *weights], output_gradients=upstream)

        return outputs, gradients

    outputs = forward(inputs, *weights)
    for variable, value in zip(part.non_trainable_variables, state_after, strict=True):
        variable.assign(value)
    return outputs


Ends = tuple[Any, Any]  # the input and output tensors of a part


def _functional(network: keras.Model) -> Any:
    # A sequential model has a private functional equivalent.
    functional = getattr(network, "_functional", None) or network
    if not hasattr(functional, "_nodes_by_depth"):
        raise UsageError(
            f"--rematerialise: {network.name} is not a functional or sequential Keras model, so it"
            " can't be cut into parts"
        )
    return functional


def _pieces(network: Any) -> Iterator[tuple[Ends, int]]:
    """Yield the ends of the smallest parts, and the bytes of features per image in each.

    Nested networks are cut, too.
    """
    [start] = network.inputs
    uses = {id(network.outputs[0]): 1}
    for nodes in network._nodes_by_depth.values():
        for node in nodes:
            for tensor in node.input_tensors:
                uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    waiting = {id(start): start}  # tensors that later nodes still need
    size = 0
    within: list[Any] = []
    for depth in sorted(network._nodes_by_depth, reverse=True):
        for node in network._nodes_by_depth[depth]:
            if node.is_input:
                continue
            within.append(node.operation)
            for tensor in node.input_tensors:
                uses[id(tensor)] -= 1
                if not uses[id(tensor)]:
                    waiting.pop(id(tensor), None)
            for tensor in node.output_tensors:
                size += _bytes(tensor)
                waiting[id(tensor)] = tensor
        if within and len(waiting) == 1:
            [end] = waiting.values()
            inner = within[0]
            if len(within) == 1 and hasattr(inner, "_nodes_by_depth"):
                yield from _pieces(inner)
            else:
                yield (start, end), size
            start, size, within = end, 0, []


def _grouped(pieces: list[tuple[Ends, int]]) -> list[Ends]:
    """Join pieces to minimise the memory between parts plus that of the largest part."""
    total = sum(size for _, size in pieces)
    candidates = [_joined(pieces, total / count) for count in range(2, len(pieces) + 1)]
    least = min(
        candidates,
        key=lambda parts: sum(_bytes(end) for (_, end), _ in parts) + max(s for _, s in parts),
    )
    return [ends for ends, _ in least]


def _joined(pieces: list[tuple[Ends, int]], most: float) -> list[tuple[Ends, int]]:
    parts: list[tuple[Ends, int]] = []
    for (start, end), size in pieces:
        joined = parts and parts[-1][0][1] is start and parts[-1][1] + size <= most
        if joined:
            (first, _), so_far = parts.pop()
            parts.append(((first, end), so_far + size))
        else:
            parts.append(((start, end), size))
    return parts


def _bytes(tensor: Any) -> int:
    return prod(tensor.shape[1:]) * tf.as_dtype(tensor.dtype).size
