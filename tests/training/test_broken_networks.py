"""Architectures that can't be trained, or would be useless afterwards, are refused at the start."""

import keras
import numpy as np
import pytest
from command_line import mura_run
from keras import layers, ops

from mura_core.errors import MuraError
from mura_core.imaging import Square
from mura_core.training import build_model, refuse_useless
from mura_plugins import PluginError
from mura_plugins.manager import load_plugins, resolve

SIDE = 32


def network(shape, inner=None, last=None, units=1):
    inputs = keras.Input(shape)
    features = layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    features = inner(features) if inner is not None else features
    output = layers.Dense(units)(layers.GlobalAveragePooling2D()(features))
    return keras.Model(inputs, last(output) if last is not None else output)


def raises(error):
    def build(shape):
        raise error

    return build


def two_inputs(shape):
    one, other = keras.Input(shape), keras.Input((1,))
    return keras.Model([one, other], layers.Dense(1)(layers.Flatten()(one)) + other)


def two_outputs(shape):
    inputs = keras.Input(shape)
    features = layers.Flatten()(inputs)
    return keras.Model(inputs, [layers.Dense(1)(features), layers.Dense(1)(features)])


class OwnMean(keras.Model):
    """A subclassed model that isn't registered."""

    def __init__(self, outputs=1, **options):
        super().__init__(**options)
        self.outputs_wanted = outputs
        self.convolution = layers.Conv2D(4, 3, activation="relu")
        self.pooling = layers.GlobalAveragePooling2D()
        self.unit = layers.Dense(1)

    def call(self, inputs):
        logit = self.unit(self.pooling(self.convolution(inputs)))
        return logit if self.outputs_wanted == 1 else [logit] * self.outputs_wanted


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (raises(ValueError("width is\n odd. Received: 3")), "pixels: width is odd. Received: 3"),
        (raises(KeyError("w")), "can't be built for 32 x 32 pixels: KeyError: 'w'"),
        (raises(SystemExit(1)), "can't be built for 32 x 32 pixels: SystemExit: 1"),
        (lambda shape: layers.Dense(1, depth=3), "Unrecognized keyword arguments passed to Dense"),
        (lambda: None, "TypeError: "),
        (lambda shape: None, "the builder returned None, not a keras.Model"),
        (lambda shape: layers.Dense(1), "the builder returned a Dense, not a keras.Model"),
        (two_inputs, "the network has 2 inputs; expected one, images (N, H, W, 1)"),
        (two_outputs, "the network has 2 outputs; expected one logit per image, (None, 1)"),
        (lambda shape: OwnMean(3), "the network has 3 outputs; expected one logit"),
        (lambda shape: network(shape, units=2), "the output has shape (None, 2); expected one"),
        (lambda shape: network(shape, last=layers.Activation("sigmoid")), "probabilities instead"),
        (lambda shape: network(shape, last=layers.Activation(ops.sigmoid)), "probabilities"),
        (lambda shape: network(shape, last=ops.sigmoid), "probabilities instead of logits"),
        (lambda shape: network(shape, last=ops.hard_sigmoid), "probabilities instead of logits"),
        (lambda shape: network(shape, last=layers.Dense(1, activation="sigmoid")), "probabilities"),
        (
            lambda shape: network(shape, last=lambda one: layers.Reshape((1,))(ops.sigmoid(one))),
            "leave out the last activation, such as sigmoid",
        ),
        (
            lambda shape: keras.Sequential([keras.Input(shape), network(shape, last=ops.sigmoid)]),
            "probabilities instead of logits",
        ),
    ],
)
def test_a_network_that_breaks_the_contract_is_refused_in_one_line(build, message):
    with pytest.raises(MuraError) as refused:
        build_model(build, {}, None, Square(SIDE))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_builders_own_error_is_shown_as_it_is():
    with pytest.raises(PluginError, match=r"^install their-weights$"):
        build_model(raises(PluginError("install their-weights")), {}, None, Square(SIDE))


class Unregistered(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


@keras.saving.register_keras_serializable("test_broken_networks")
class Forgetful(layers.Layer):
    def build(self, shape):
        self.factors = np.random.default_rng().normal(size=shape[-1]).astype(np.float32)

    def call(self, inputs):
        return inputs * self.factors


@keras.saving.register_keras_serializable("test_broken_networks")
class OwnSigmoid(layers.Layer):
    def call(self, inputs):
        return 1 / (1 + ops.exp(-inputs))


@keras.saving.register_keras_serializable("test_broken_networks")
class Unsavable(layers.Layer):
    def get_config(self):
        raise RuntimeError("no\nconfig")

    def call(self, inputs):
        return 2 * inputs


@keras.saving.register_keras_serializable("test_broken_networks")
class Unloadable(Unsavable):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def get_config(self):
        return {"name": self.name}


def zero_head(shape):
    inputs = keras.Input(shape)
    features = layers.GlobalAveragePooling2D()(Forgetful()(layers.Conv2D(4, 3)(inputs)))
    return keras.Model(inputs, layers.Dense(1, kernel_initializer="zeros")(features))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda shape: network(shape, Unregistered()), "Unregistered isn't registered; put @keras"),
        (lambda shape: OwnMean(), "OwnMean isn't registered; put @keras.saving"),
        (lambda shape: network(shape, layers.Lambda(lambda x: 2 * x)), "Lambda layer, whose code"),
        (lambda shape: network(shape, Forgetful()), "something isn't saved; keep constants as"),
        (zero_head, "something isn't saved; keep constants as weights"),
        (lambda shape: network(shape, last=OwnSigmoid()), "probabilities instead of logits"),
        (lambda shape: network(shape, Unsavable()), "can't be saved: RuntimeError: no config"),
        (lambda shape: network(shape, Unloadable(2)), "can't be loaded: TypeError: "),
    ],
)
def test_a_network_that_would_be_useless_after_training_is_refused(build, message):
    model = build_model(build, {}, None, Square(SIDE))
    with pytest.raises(MuraError) as refused:
        refuse_useless(model, "theirs")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["conv4", "conv4-gap", "dense", "resnet18", "densenet-small", "efficientnet-lite0", "vgg-like"],
)
def test_built_in_networks_pass(name):
    build = resolve(load_plugins().architecture(name).build)
    refuse_useless(build_model(build, {}, None, Square(SIDE)), name)


SUBCLASSED = """
import keras
import mura_plugins as mura
from keras import layers

@mura.hookimpl
def mura_architectures():
    return [mura.Architecture("subclassed", "mura_subclassed:build", "", "")]

@keras.saving.register_keras_serializable("mura_subclassed")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = layers.Conv2D(4, 3, activation="relu")
        self.pooling = layers.GlobalAveragePooling2D()
        self.unit = layers.Dense(1)

    def call(self, inputs):
        return self.unit(self.pooling(self.convolution(inputs)))

def build(input_shape):
    return Subclassed()
"""


def test_a_subclassed_model_is_trained_and_explained(install, mura, tmp_path):
    install("mura-subclassed", SUBCLASSED)
    run = tmp_path / "run"
    done = mura_run(
        "run", "--data", mura, "--model", "subclassed", "--size", SIDE, "--epochs", 1, "--out", run,
        "--explain", "gradcam", "--explain", "cam", "--explain-images", 2,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for method in ("gradcam", "cam"):
        assert f"Drew 2 heatmaps by {method}, from the layer conv2d" in done.output
    images = mura / "MURA-v1.1" / "valid" / "XR_WRIST"
    assert mura_run("predict", run, images).exit_code == 0


def test_a_useless_network_is_refused_before_images_are_read(install, mura, tmp_path):
    registered = '@keras.saving.register_keras_serializable("mura_subclassed")\n'
    install("mura-subclassed", SUBCLASSED.replace(registered, ""))
    run = tmp_path / "run"
    done = mura_run("train", "--data", mura, "--model", "subclassed", "--size", SIDE, "--out", run)
    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: --model subclassed can't be used: the saved network can't be")
    assert "Subclassed isn't registered" in last
    assert not run.exists()
