"""Checks that plugin authors can run in their tests.

    from mura_plugins.testing import check_architecture

    def test_their_net():
        check_architecture(ARCHITECTURE)

A check raises a ContractError, which is an AssertionError. Its message says what is wanted and what
was seen. `mura-run check-plugin NAME` runs the checks of everything that a plugin provides.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mura_plugins.contract import ContractError as ContractError
from mura_plugins.contract import raising_contract_errors, require
from mura_plugins.explainer_checks import check_explainer as check_explainer
from mura_plugins.layout_checks import check_layout as check_layout
from mura_plugins.manager import resolve
from mura_plugins.network_checks import untrainable_model, unusable_network
from mura_plugins.reader_checks import check_reader as check_reader
from mura_plugins.record_checks import refuse_invalid
from mura_plugins.records import Architecture

if TYPE_CHECKING:
    import keras


@raising_contract_errors
def check_architecture(
    record: Architecture,
    *,
    sizes: tuple[int, int] = (64, 96),
    options: Mapping[str, Any] | None = None,
) -> None:
    """Check that an architecture meets the requirements of the core.

    The network can be built at two sizes and returns one float32 logit. The same seed gives the
    same weights and loss. Gradients reach every weight, and the network can overfit eight images.
    After saving and loading, the logits are the same. The network can be trained on two devices
    (two virtual CPUs, in a separate process).

    Parameters
    ----------
    record : Architecture
    sizes : tuple of int
        Two side lengths of square images in pixels. Training uses the first.
    options : mapping, optional
        Options of the builder, such as fewer blocks, to check a large network quickly.

    Raises
    ------
    ContractError
        A requirement is violated, or the builder raises an exception.
    """
    import keras

    refuse_invalid(record)
    options = dict(options or {})
    build = partial(resolve(record.build), **options)
    for size in sizes:
        model = build((size, size, 1))
        fault = unusable_network(model, size)
        require(not fault, fault)
        dtype = keras.backend.standardize_dtype(model(keras.Input((size, size, 1))).dtype)
        require(dtype == "float32", f"the logit is {dtype}, not float32")

    size = sizes[0]
    _check_deterministic(build, size)
    keras.utils.set_random_seed(0)
    model = build((size, size, 1))
    labels = (np.arange(8) % 2).astype(np.float32)[:, None]
    images = np.random.default_rng(0).normal(size=(8, size, size, 1)).astype(np.float32)
    images[labels[:, 0] == 1, : size // 2, : size // 2] += 3
    model(images[:1])  # creates the weights of a subclassed model
    _check_gradients_reach_all_weights(model, images, labels)
    _check_overfits(model, images, labels)
    inputs = keras.Input((size, size, 1))
    fault = untrainable_model(keras.Model(inputs, build((size, size, 1))(inputs)))
    require(not fault, fault)
    _check_two_devices(record, size, options)


def _check_deterministic(build: Any, size: int) -> None:
    import keras

    images = np.random.default_rng(1).normal(size=(4, size, size, 1)).astype(np.float32)
    labels = np.array([[0], [1], [0], [1]], np.float32)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    weights, losses = [], []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        model = build((size, size, 1))
        weights.append(model.get_weights())
        losses.append(float(loss(labels, model(images, training=True))))
    same = all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))
    require(same, "the same seed gives different weights")
    require(abs(losses[0] - losses[1]) <= 1e-6, f"the same seed gives the losses {losses}")


_ON_TWO_DEVICES = """
import ast
import sys
import keras, numpy as np, tensorflow as tf
from mura_plugins.layout_checks import check_layout as check_layout
from mura_plugins.manager import resolve
from mura_plugins.network_checks import unusable_network, untrainable_model
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
size = int(sys.argv[2])
images = np.random.default_rng(0).normal(size=(4, size, size, 1)).astype(np.float32)
labels = np.float32([[0], [1], [0], [1]])
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = resolve(sys.argv[1])((size, size, 1), **ast.literal_eval(sys.argv[3]))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    model.compile(optimizer="adam", loss=keras.losses.BinaryCrossentropy(from_logits=True))
batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
history = model.fit(batches, verbose=0)
assert np.isfinite(history.history["loss"]).all(), history.history
"""


def _check_two_devices(record: Architecture, size: int, options: dict[str, Any]) -> None:
    # In a separate process, because a device can't be divided after TensorFlow has started.
    command = [sys.executable, "-c", _ON_TWO_DEVICES, record.build, str(size), repr(options)]
    # The same module search path as this process, which can include a test's temporary folders.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False
    )
    reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
    require(done.returncode == 0, f"training on two devices fails: {reason[0]}")


def _check_gradients_reach_all_weights(model: keras.Model, images: Any, labels: Any) -> None:
    import keras
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(labels, logits)
    gradients = tape.gradient(loss, model.trainable_variables)
    unreached = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None
    ]
    require(not unreached, f"no gradient reaches {', '.join(unreached)}")


def _check_overfits(model: keras.Model, images: Any, labels: Any) -> None:
    import keras

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss, jit_compile=False)
    losses: list[float] = []
    while len(losses) < 150 and not (losses and max(losses[-5:]) < 0.1 * losses[0]):
        losses.append(float(model.train_on_batch(images, labels)))
    # In training mode: the moving statistics of batch normalisation take longer to converge.
    outputs = np.asarray(model(images, training=True))
    require(
        outputs.min() < 0 or outputs.max() > 1,
        "after training, outputs are between 0 and 1: probabilities instead of logits",
    )
    require(
        min(losses[-10:]) < 0.5 * losses[0],
        f"it can't overfit eight images: the loss went from {losses[0]:.3f} to {losses[-1]:.3f}",
    )
