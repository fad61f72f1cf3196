"""Recomputed features give the same training, in less memory."""

import keras
import numpy as np
import pytest

from mura_core.errors import UsageError
from mura_core.training.rematerialisation import Rematerialised
from mura_models.conv import conv4
from mura_models.densenet import densenet_small

layers = keras.layers


def shared_and_nested(shape) -> keras.Model:
    """A layer used twice, a network within the network, and a dropout between."""
    inner_inputs = keras.Input((16, 16, 4))
    inner = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(inner_inputs)))
    inner = keras.Model(inner_inputs, layers.MaxPooling2D(2)(inner))
    inputs = keras.Input(shape)
    features = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    twice = layers.Conv2D(4, 1)
    features = layers.Add()([twice(features), twice(twice(features))])
    features = layers.Dropout(0.3)(layers.Flatten()(inner(features)))
    return keras.Model(inputs, layers.Dense(1)(features))


def sequential(shape) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(4),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )


def small_densenet(shape) -> keras.Model:
    return densenet_small(shape, blocks=(1, 2, 1, 1))


def trained(build, *, recomputed: bool) -> tuple[list[float], list[np.ndarray]]:
    keras.utils.set_random_seed(0)
    network = build((32, 32, 1))
    fitted = network
    if recomputed:
        inputs = keras.Input((32, 32, 1))
        fitted = keras.Model(inputs, Rematerialised(network)(inputs))
    fitted.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    random = np.random.default_rng(0)
    images = random.normal(size=(8, 32, 32, 1)).astype(np.float32)
    labels = np.float32([[0], [1]] * 4)
    losses = [float(fitted.train_on_batch(images, labels)) for _ in range(3)]
    return losses, network.get_weights()


@pytest.mark.parametrize("build", [conv4, sequential, shared_and_nested, small_densenet])
def test_a_recomputed_network_trains_to_the_same_bits(build):
    losses, weights = trained(build, recomputed=False)
    again, recomputed = trained(build, recomputed=True)
    assert losses == again
    # The moving statistics of batch normalisation among them, which were moved once a step.
    for one, other in zip(weights, recomputed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_is_cut_into_parts_that_share_its_weights():
    network = small_densenet((64, 64, 1))
    layer = Rematerialised(network)
    assert len(layer.parts) > 3
    own = {id(variable) for variable in network.variables}
    assert {id(variable) for variable in layer.variables} == own
    images = np.random.default_rng(1).normal(size=(2, 64, 64, 1)).astype(np.float32)
    np.testing.assert_array_equal(layer(images), network(images))


def test_what_cannot_be_cut_is_refused_in_one_line():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(UsageError, match="is not a functional or sequential Keras model"):
        Rematerialised(Subclassed(name="own"))
    inputs = keras.Input((4,))
    with pytest.raises(UsageError, match="one_layer can't be cut into parts"):
        Rematerialised(keras.Model(inputs, layers.Dense(1)(inputs), name="one_layer"))
