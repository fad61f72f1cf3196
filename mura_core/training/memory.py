"""Estimate the memory that training takes, from the graph of its step.

The step is traced as it will run, including mixed precision, recomputed features, accumulated
gradients and augmentation. The operations are then visited in order: a tensor takes memory from the
operation that creates it to the last one that uses it. Nothing is computed.

What the graph doesn't show is assumed: see `ALLOWANCE` and `RUNTIME`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.training.accumulation import AccumulatingModel
from mura_core.training.rematerialisation import Rematerialised

# Measured on CPUs, training took up to this factor of what its graph shows: it also needs scratch
# space for kernels, and TensorFlow adds copies when it rewrites the graph (docs/training.md).
ALLOWANCE = 1.25
# With recomputed features: a part begins while the gradients of the previous one are computed.
ALLOWANCE_RECOMPUTED = 1.7
# Assumed use of GPU memory by CUDA, its libraries and TensorFlow; untested.
RUNTIME = 768 * 2**20

# The step is traced with this prime number of images: a tensor whose size is a multiple of it
# scales with the batch size.
_TRACED_BATCH = 1009
# Operations whose result is a view of an argument's memory.
_VIEWS = {
    "ExpandDims", "Identity", "IdentityN", "PreventGradient", "ReadVariableOp", "Reshape",
    "Squeeze", "StopGradient",
}  # fmt: skip
# Operations that overwrite an argument if nothing else needs it.
_IN_PLACE = {
    "Add", "AddN", "AddV2", "BiasAdd", "Cast", "DivNoNan", "Elu", "EluGrad", "Exp", "Log",
    "Maximum", "Minimum", "Mul", "Neg", "Pow", "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad",
    "Rsqrt", "RsqrtGrad", "SelectV2", "Selu", "Sigmoid", "SigmoidGrad", "Softplus", "Sqrt",
    "Square", "SquaredDifference", "Sub", "Tanh", "TanhGrad",
}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Peak memory of training, in bytes.

    Attributes
    ----------
    weights : int
        Weights and other variables of the model.
    optimizer : int
        Optimizer state, such as Adam's moments, and sums of accumulated gradients.
    activations : int
        Tensors made by the forward pass.
    workspace : int
        Tensors made by the backward pass.
    allowance : float
        Factor for memory that the graph doesn't show.
    """

    weights: int
    optimizer: int
    activations: int
    workspace: int
    allowance: float = ALLOWANCE

    @property
    def total(self) -> int:
        """The sum, multiplied by the allowance."""
        counted = self.weights + self.optimizer + self.activations + self.workspace
        return round(self.allowance * counted)


@dataclass(frozen=True)
class StepMemory:
    """Memory of training as a function of the batch size.

    Parameters
    ----------
    weights, optimizer : int
        Bytes that are taken throughout; the optimizer's include sums of accumulated gradients.
    fixed, an_image : ndarray of shape (2, operations), int64
        Bytes in use at each operation of a step, independent of the batch size and per image.
        First row: tensors made by the forward pass; second row: by the backward pass.
    allowance : float
        Factor for memory that the graph doesn't show.
    """

    weights: int
    optimizer: int
    fixed: NDArray[np.int64]
    an_image: NDArray[np.int64]
    allowance: float = ALLOWANCE

    def of(self, batch_size: int) -> Memory:
        """Return the peak memory for a batch size."""
        taken = self.fixed + batch_size * self.an_image
        forward, back = taken[:, np.argmax(taken.sum(axis=0))]
        return Memory(self.weights, self.optimizer, int(forward), int(back), self.allowance)

    def largest_batch(self, most: int) -> int:
        """Return the largest batch size that takes at most `most` bytes, or 0 if none does."""
        if self.of(1).total > most:
            return 0
        fits = 1
        while self.of(2 * fits).total <= most:
            fits *= 2
        step = fits
        while step := step // 2:
            if self.of(fits + step).total <= most:
                fits += step
        return fits


def count_memory(trained: keras.Model) -> StepMemory:
    """Return the memory of a model's training step.

    Parameters
    ----------
    trained : keras.Model
        The model to fit, as returned by `mura_core.training.model.compiled`.
    """
    images = [
        tf.TensorSpec((_TRACED_BATCH, *one.shape[1:]), tf.uint8 if index == 0 else one.dtype)
        for index, one in enumerate(trained.inputs)
    ]
    batch: Any = images[0] if len(images) == 1 else images
    each = tf.TensorSpec((_TRACED_BATCH, 1), tf.float32)
    weight = tf.TensorSpec((_TRACED_BATCH,), tf.float32)
    step = tf.function(lambda *data: trained.train_step(data))
    state = list(trained.optimizer.variables)
    graphs = []
    if isinstance(trained, AccumulatingModel):
        trained.make_train_function()
        state += trained.gradients
        graphs.append(tf.function(trained.move_weights).get_concrete_function().graph)
    graphs.insert(0, step.get_concrete_function(batch, each, weight).graph)
    taken = [_taken(graph) for graph in graphs]
    fixed, an_image = (np.concatenate(parts, axis=1) for parts in zip(*taken, strict=True))
    recomputed = any(isinstance(layer, Rematerialised) for layer in trained.layers)
    allowance = ALLOWANCE_RECOMPUTED if recomputed else ALLOWANCE
    return StepMemory(_bytes_of(trained.variables), _bytes_of(state), fixed, an_image, allowance)


def _bytes_of(variables: Iterable[Any]) -> int:
    return sum(prod(one.shape) * tf.as_dtype(one.dtype).size for one in variables)


def _taken(graph: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bytes at each operation, fixed and per image, each of shape (2, operations)."""
    operations = graph.get_operations()
    last_use = {
        tensor.ref(): index
        for index, operation in enumerate(operations)
        for tensor in operation.inputs
    }
    last_use |= {tensor.ref(): len(operations) - 1 for tensor in graph.outputs}
    made: list[_Made] = []
    at: dict[Any, _Made] = {}  # by the tensor
    for index, operation in enumerate(operations):
        for tensor in operation.outputs:
            size = _size(tensor)
            if size == 0 or operation.type == "Const":
                continue
            end = last_use.get(tensor.ref(), index)
            reused = _reused(operation, tensor.value_index, size, index, at)
            if reused is None:
                back = operation.name.startswith("gradient_tape/") or bool(
                    made and made[-1].back
                )  # everything after the gradient, such as the optimizer, counts as backward
                reused = _Made(size, index, end, back)
                made.append(reused)
            reused.end = max(reused.end, end)
            at[tensor.ref()] = reused
        for inner in _inner_graphs(graph, operation):
            fixed, an_image = (rows.sum(axis=0) for rows in _taken(inner))
            most = int(np.argmax(fixed + _TRACED_BATCH * an_image))
            for size in (int(fixed[most]), _TRACED_BATCH * int(an_image[most])):
                made.append(_Made(size, index, index, bool(made and made[-1].back)))
    return _summed(made, len(operations))


@dataclass
class _Made:
    """A piece of memory, from the operation that allocates it to the last one that uses it."""

    size: int
    start: int
    end: int
    back: bool


def _size(tensor: Any) -> int:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    if not tensor.shape.is_fully_defined():
        return 0
    return prod(tensor.shape) * tensor.dtype.size


def _reused(
    operation: Any, output: int, size: int, index: int, at: dict[Any, _Made]
) -> _Made | None:
    arguments = [at.get(tensor.ref()) for tensor in operation.inputs]
    if operation.type in _VIEWS:
        return arguments[output]
    if operation.type in _IN_PLACE:
        for made in arguments:
            if made is not None and made.size == size and made.end == index:
                return made
    return None


def _inner_graphs(graph: Any, operation: Any) -> Iterator[Any]:
    for attribute in operation.node_def.attr.values():
        if attribute.func.name:
            yield graph._get_function(attribute.func.name).graph


def _summed(made: Sequence[_Made], operations: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    changes = np.zeros((2, 2, operations + 1), np.int64)  # fixed or per image, forward or back
    for one in made:
        per_image = one.size % _TRACED_BATCH == 0
        size = one.size // _TRACED_BATCH if per_image else one.size
        changes[int(per_image), int(one.back), one.start] += size
        changes[int(per_image), int(one.back), one.end + 1] -= size
    fixed, an_image = changes.cumsum(axis=2)[..., :operations]
    return fixed, an_image
