"""Checks that plugin authors can run in their tests.

    from mura_plugins.testing import check_architecture

    def test_their_net():
        check_architecture(ARCHITECTURE)

A check raises an AssertionError that names the violated requirement.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.manager import resolve
from mura_plugins.network import Network, leaves
from mura_plugins.reader_checks import check_reader as check_reader
from mura_plugins.records import Architecture, Explainer

if TYPE_CHECKING:
    import keras


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
    AssertionError
        A requirement is violated.
    """
    import keras

    options = dict(options or {})
    build = partial(resolve(record.build), **options)
    for size in sizes:
        model = build((size, size, 1))
        assert isinstance(model, keras.Model), f"{record.build} doesn't return a keras.Model"
        assert model.output_shape == (None, 1), f"output {model.output_shape} is not (None, 1)"
        assert _dtype(model) == "float32", f"the logit is {_dtype(model)}, not float32"

    size = sizes[0]
    _check_deterministic(build, size)
    keras.utils.set_random_seed(0)
    model = build((size, size, 1))
    labels = (np.arange(8) % 2).astype(np.float32)[:, None]
    images = np.random.default_rng(0).normal(size=(8, size, size, 1)).astype(np.float32)
    images[labels[:, 0] == 1, : size // 2, : size // 2] += 3
    _check_gradients_reach_all_weights(model, images, labels)
    _check_overfits(model, images, labels)
    logits = model.predict(images, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        again = keras.saving.load_model(Path(folder) / "model.keras", safe_mode=True)
    difference = np.abs(again.predict(images, verbose=0) - logits).max()
    assert difference <= 1e-6, f"after saving and loading, the logits differ by {difference}"
    _check_two_devices(record, size, options)


def check_explainer(record: Explainer, model: keras.Model | None = None) -> None:
    """Check that an explainer meets the requirements of the core.

    Maps are finite, float32 and of shape (N, h, w), and negative only if the record is signed.
    The result for an image doesn't depend on the other images of the batch, nor on the dtype uint8
    or float32. It depends on the seed if and only if the record is stochastic. The network, the
    images and NumPy's global random state are not changed. On the default network, the map peaks
    at the evidence; if the record is signed, it is negative there for 'normal'. It explains the
    logit: it doesn't change if the probability saturates at 1.

    Parameters
    ----------
    record : Explainer
    model : keras.Model, optional
        From images (N, H, W, 1) to logits (N, 1). By default a small convolutional network with
        known evidence: only bright spots raise the logit.

    Raises
    ------
    AssertionError
        A requirement is violated.
    """
    known = model is None
    model = model or _bright_spot_network(bias=-1.0)
    _, height, width, _ = model.input_shape
    images = np.random.default_rng(0).integers(0, 60, (4, height, width)).astype(np.float32)
    images[:, 4:12, 20:28] = 255
    given = images.copy()
    network = Network(model)

    def explain(
        images: NDArray[Any] = images, *, toward: int = 1, seed: int = 0, network: Network = network
    ) -> NDArray[np.float32]:
        return resolve(record.explain)(network, images, toward=toward, seed=seed)

    np.random.random()  # noqa: NPY002 - a state that differs from that after any seeding
    before, chance = _state(network, given), _chance()
    maps = explain()
    assert maps.ndim == 3, f"maps have shape {maps.shape}; expected (N, h, w)"
    assert len(maps) == 4, f"maps have shape {maps.shape}; expected (N, h, w)"
    assert maps.dtype == np.float32, f"maps are {maps.dtype}, not float32"
    assert np.isfinite(maps).all(), "maps contain NaN or infinity"
    assert record.signed or maps.min() >= 0, "an unsigned map has negative values"
    assert np.array_equal(images, given), "explaining changed the images"
    for one, other in zip(before, _state(network, given), strict=True):
        assert np.array_equal(one, other), "explaining changed the network"
    assert _chance() == chance, "explaining changed NumPy's global random state"

    tolerance = 1e-4 * max(float(np.abs(maps).max()), 1e-6)

    def differs(others: NDArray[np.float32]) -> bool:
        return maps.shape != others.shape or float(np.abs(maps - others).max()) > tolerance

    singles = np.concatenate([explain(image[None]) for image in images])
    assert not differs(singles), "the maps of a batch differ from those of single images"
    assert not differs(explain(images.astype(np.uint8))), "uint8 and float32 give different maps"
    assert not differs(explain()), "the same seed gives different maps"
    if record.stochastic:
        assert differs(explain(seed=1)), "stochastic=True, but maps don't depend on the seed"
    else:
        assert not differs(explain(seed=1)), "stochastic=False, but maps depend on the seed"
    if known:
        row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
        place = row * height / maps.shape[1], column * width / maps.shape[2]
        assert 2 <= place[0] <= 13, "the map's peak isn't where the network's evidence is"
        assert 18 <= place[1] <= 29, "the map's peak isn't where the network's evidence is"
        if record.signed:
            against = explain(toward=-1)[0, row, column]
            assert against < 0, "evidence for 'abnormal' isn't negative in the map for 'normal'"
        sure = explain(network=Network(_bright_spot_network(bias=40.0)))
        assert maps.shape == sure.shape, "the shape of maps depends on the logit"
        difference = np.abs(maps - sure).max()
        assert difference <= 1e-2 * np.abs(maps).max(), (
            "the map changes when the probability saturates: it must explain the logit instead"
        )


def _state(network: Network, images: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Return the trainable flags, the outputs and the weights of a network."""
    layers = [layer.trainable for layer in leaves(network.model)]
    answers = np.asarray(network.model(images[..., None], training=False))
    return [np.array(layers), answers, *(weight.copy() for weight in network.model.get_weights())]


def _chance() -> bytes:
    """Return NumPy's global random state."""
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return b"%d " % state["pos"] + state["key"].tobytes()


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
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True)), (
        "the same seed gives different weights"
    )
    assert abs(losses[0] - losses[1]) <= 1e-6, f"the same seed gives the losses {losses}"


_ON_TWO_DEVICES = """
import ast
import sys
import keras, numpy as np, tensorflow as tf
from mura_plugins.manager import resolve
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
    assert done.returncode == 0, f"training on two devices fails: {reason[0]}"


def _dtype(model: keras.Model) -> str:
    import keras

    return keras.backend.standardize_dtype(model.outputs[0].dtype)


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
    assert not unreached, f"no gradient reaches {', '.join(unreached)}"


def _check_overfits(model: keras.Model, images: Any, labels: Any) -> None:
    import keras

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss, jit_compile=False)
    losses: list[float] = []
    while len(losses) < 150 and not (losses and max(losses[-5:]) < 0.1 * losses[0]):
        losses.append(float(model.train_on_batch(images, labels)))
    # In training mode: the moving statistics of batch normalisation take longer to converge.
    outputs = np.asarray(model(images, training=True))
    assert outputs.min() < 0 or outputs.max() > 1, (
        "after training, outputs are between 0 and 1: probabilities instead of logits"
    )
    assert min(losses[-10:]) < 0.5 * losses[0], (
        f"it can't overfit eight images: the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"
    )


def _bright_spot_network(bias: float) -> keras.Model:
    import keras

    inputs = keras.Input((32, 48, 1))
    # One channel is active above level 200; the other, active in dark regions, has weight 0.
    features = keras.layers.Conv2D(2, 1, activation="relu", name="threshold")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    model.set_weights(
        [
            np.array([[[[1.0, -1.0]]]], np.float32),
            np.array([-200.0, 100.0], np.float32),
            np.array([[1.0], [0.0]], np.float32),
            np.array([bias], np.float32),
        ]
    )
    return model
