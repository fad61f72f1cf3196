"""The memory that training takes, counted from the graph of its step before the first one.

The step is traced, as it will run (16 bits, recomputed features, summed gradients and augmentation
included), and walked through in its order: a tensor takes memory from the operation that makes it
to the last one that needs it. Nothing is computed.

What the graph doesn't show is assumed, and said so: see `ALLOWANCE` and `RUNTIME`.
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

# Measured on CPUs, training took up to so much of what its graph shows: kernels' scratch space, and
# copies that TensorFlow adds when it rewrites the graph, come on top (docs/training.md).
ALLOWANCE = 1.25
# Where features are recomputed: one part begins while the last one's gradients are being computed.
ALLOWANCE_RECOMPUTED = 1.7
# Assumed to be taken of a GPU by CUDA, its libraries and TensorFlow; untried.
RUNTIME = 768 * 2**20

# A batch of this prime number of images is traced: what is a multiple of it belongs to images.
_TRACED_BATCH = 1009
# Operations whose results are their arguments' memory, seen in another way.
_VIEWS = {
    "ExpandDims", "Identity", "IdentityN", "PreventGradient", "ReadVariableOp", "Reshape",
    "Squeeze", "StopGradient",
}  # fmt: skip
# Operations that write into an argument that nothing else needs any more.
_IN_PLACE = {
    "Add", "AddN", "AddV2", "BiasAdd", "Cast", "DivNoNan", "Elu", "EluGrad", "Exp", "Log",
    "Maximum", "Minimum", "Mul", "Neg", "Pow", "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad",
    "Rsqrt", "RsqrtGrad", "SelectV2", "Selu", "Sigmoid", "SigmoidGrad", "Softplus", "Sqrt",
    "Square", "SquaredDifference", "Sub", "Tanh", "TanhGrad",
}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes at its peak, by what they are for."""

    weights: int
    optimizer: int
    activations: int
    workspace: int
    allowance: float = ALLOWANCE

    @property
    def total(self) -> int:
        """All of them, and the allowance for what the graph doesn't show."""
        counted = self.weights + self.optimizer + self.activations + self.workspace
        return round(self.allowance * counted)


@dataclass(frozen=True)
class StepMemory:
    """The memory of training with any batch size.

    Parameters
    ----------
    weights, optimizer : int
        Bytes that are taken all the time; the optimizer's include the sums of `accumulate`.
    fixed, an_image : ndarray of shape (2, operations), int64
        Bytes that are taken at each operation of a step: in the first row by what the forward
        pass made, in the second by what the way back did; whatever the batch, and for each image.
    allowance : float
        What the sum is multiplied by, for what the graph doesn't show.
    """

    weights: int
    optimizer: int
    fixed: NDArray[np.int64]
    an_image: NDArray[np.int64]
    allowance: float = ALLOWANCE

    def of(self, batch_size: int) -> Memory:
        """Return what batches of this size take."""
        taken = self.fixed + batch_size * self.an_image
        forward, back = taken[:, np.argmax(taken.sum(axis=0))]
        return Memory(self.weights, self.optimizer, int(forward), int(back), self.allowance)

    def largest_batch(self, most: int) -> int:
        """Return how many images a batch can have if training is to take `most` bytes; or 0."""
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
    """Return the memory that a step of `mura_core.training.model.compiled`'s model takes."""
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
    """Return what tensors take at each operation, fixed and an image, each (2, operations)."""
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
                )  # what follows the gradient, such as the optimizer, is of the way back, too
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
    """A piece of memory: from the operation that made it to the last that needs it."""

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
    changes = np.zeros((2, 2, operations + 1), np.int64)  # fixed or an image, forward or back
    for one in made:
        per_image = one.size % _TRACED_BATCH == 0
        size = one.size // _TRACED_BATCH if per_image else one.size
        changes[int(per_image), int(one.back), one.start] += size
        changes[int(per_image), int(one.back), one.end + 1] -= size
    fixed, an_image = changes.cumsum(axis=2)[..., :operations]
    return fixed, an_image
