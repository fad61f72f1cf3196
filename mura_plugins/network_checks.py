"""Check the network that an architecture's builder returns, before it is trained."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.guard import in_words, is_from_user

if TYPE_CHECKING:
    import keras

_ACTIVATIONS = frozenset({"sigmoid", "hard_sigmoid", "hardsigmoid", "softmax"})
_PROBABILITIES = (
    "the network returns probabilities instead of logits; leave out the last activation, such as"
    " sigmoid"
)
_DRAWS = 6
_TOLERANCE = 1e-4


def unusable_network(network: Any, size: int) -> str:
    """Return why a network can't be trained, as a clause; empty if it can.

    Parameters
    ----------
    network : object
        What the builder returned.
    size : int
        Side of the square images that it was built for, in pixels.
    """
    import keras

    if not isinstance(network, keras.Model):
        return f"the builder returned {_shown(network)}, not a keras.Model"
    inputs = getattr(network, "inputs", None) or [None]  # a subclassed model knows none
    if len(inputs) > 1:
        return f"the network has {len(inputs)} inputs; expected one, images (N, H, W, 1)"
    # Called instead of reading `output_shape`, which subclassed models don't have before a call.
    outputs = network(keras.Input((size, size, 1)))
    if isinstance(outputs, (list, tuple, dict)):
        return f"the network has {len(outputs)} outputs; expected one logit per image, (None, 1)"
    if tuple(outputs.shape) != (None, 1):
        return (
            f"the output has shape {tuple(outputs.shape)}; expected one logit per image, (None, 1)"
        )
    return _PROBABILITIES if _ends_in(network) & _ACTIVATIONS else ""


def untrainable_model(model: keras.Model) -> str:
    """Return why it would be useless to train a model, as a clause; empty if it wouldn't.

    Its outputs are probabilities, or the saved model isn't the same when it is loaded. It is saved
    to a temporary file, and loaded without running code from it.

    Parameters
    ----------
    model : keras.Model
        From images (N, H, W, 1) to outputs (N, 1), untrained. Its weights are changed: values of 0
        could hide a difference.
    """
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    try:
        if "linear" not in _ends_in(model) and _stays_within_0_and_1(model, images):
            return _PROBABILITIES
        for variable in model.trainable_variables:
            if not np.any(variable):
                variable.assign(0.1 * random.standard_normal(variable.shape))
        return _difference_when_loaded(model, images)
    except BaseException as error:
        if is_from_user(error):
            raise
        return f"the network fails on random images: {in_words(error)}"


def _difference_when_loaded(model: keras.Model, images: NDArray[np.float32]) -> str:
    import keras

    logits = np.asarray(model(images, training=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except BaseException as error:
            if is_from_user(error):
                raise
            return f"the network can't be saved: {_cause(error)}"
        try:
            again = keras.saving.load_model(path, compile=False, safe_mode=True)
            loaded = np.asarray(again(images, training=False))
        except BaseException as error:
            if is_from_user(error):
                raise
            return f"the saved network can't be loaded: {_cause(error)}"
    difference = float(np.abs(loaded - logits).max())
    if difference > _TOLERANCE * max(1.0, float(np.abs(logits).max())):
        return (
            f"after saving and loading, the logits differ by {difference:.2g}: something isn't"
            " saved; keep constants as weights, by add_weight(trainable=False)"
        )
    return ""


def _cause(error: BaseException) -> str:
    """Return what in a network can't be saved or loaded, and the remedy."""
    said = str(error)
    if "Lambda" in said and "safe_mode" in said:
        return "it has a Lambda layer, whose code is never loaded; write a class of layers instead"
    for start in ("Could not locate class '", "Could not locate function '"):
        if start in said:
            name = said.split(start)[1].split("'")[0]
            return f"{name} isn't registered; put @keras.saving.register_keras_serializable() on it"
    return in_words(error)


def _ends_in(network: Any) -> set[str]:
    """Return the names of the last operation and its activation."""
    last = _last_operation(network)
    activation = getattr(last, "activation", None)
    return {type(last).__name__.lower(), getattr(activation, "__name__", "").lower()}


def _last_operation(network: Any) -> Any:
    """Return the operation that computes the output, or None for a subclassed model.

    Operations that pass values on, such as Flatten and linear activations, are skipped.
    """
    outputs = getattr(network, "outputs", None)
    if not outputs:
        return None
    tensor = outputs[0]
    while True:
        history = tensor._keras_history
        operation = history.operation
        if getattr(operation, "outputs", None) and hasattr(operation, "layers"):
            return _last_operation(operation)
        passes = type(operation).__name__ in ("Reshape", "Flatten", "Dropout", "Identity") or (
            type(operation).__name__ == "Activation" and operation.activation.__name__ == "linear"
        )
        if not passes:
            return operation
        [tensor] = operation._inbound_nodes[history.node_index].input_tensors


def _stays_within_0_and_1(model: keras.Model, images: NDArray[np.float32]) -> bool:
    """Return whether outputs vary between 0 and 1, whatever the last weights are."""
    random = np.random.default_rng(0)
    head = model.trainable_variables[-2:]
    outputs = []
    for _ in range(_DRAWS):
        for variable in head:
            variable.assign(10 * random.standard_normal(variable.shape))
        outputs.append(np.asarray(model(images, training=False)))
    answers = np.stack(outputs)
    varies = np.ptp(answers) > 0
    return bool(varies and np.isfinite(answers).all() and answers.min() >= 0 and answers.max() <= 1)


def _shown(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
