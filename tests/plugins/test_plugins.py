"""Plugins: found, isolated, named in errors; and the built-in ones keep the contracts."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import mura_run

import mura_plugins
from mura_models.conv import conv4
from mura_models.resnet import resnet18
from mura_plugins import PluginError
from mura_plugins.manager import load_plugins, parse_options, resolve
from mura_plugins.records import Architecture, Explainer, RunSummary
from mura_plugins.testing import check_architecture, check_explainer

THEIR_NET = """
import mura_plugins as mura

@mura.hookimpl
def mura_architectures():
    yield mura.Architecture("their-net", "mura_models.conv:conv4", "Theirs.", "A paper")
"""


def test_the_built_in_plugins_are_found_through_entry_points():
    plugins = load_plugins()
    assert {offer.distribution for offer in plugins.architectures} == {"mura-run"}
    assert plugins.architecture("conv4").build == "mura_models.conv:conv4"
    assert plugins.explainer("gradcam").signed is False
    assert not plugins.failures


def test_a_third_partys_plugin_is_found_the_same_way(install):
    install("mura-their-net", THEIR_NET)
    plugins = load_plugins()
    assert plugins.architecture("their-net").summary == "Theirs."
    assert [(o.distribution, o.version) for o in plugins.architectures][-1] == (
        "mura-their-net",
        "1.2",
    )
    listed = json.loads(mura_run("plugins", "--json").output)
    (theirs,) = [plugin for plugin in listed["plugins"] if plugin["name"] == "their-net"]
    assert {"kind": "architecture", "summary": "Theirs."}.items() <= theirs.items()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("import mura_plugins as m\n@m.hookimpl\ndef mura_architecture(): return []", "unknown"),
        ("import mura_plugins as m\n@m.hookimpl\ndef mura_architectures(): yield 1/0", "ZeroDivis"),
        ("import mura_plugins as m\n@m.hookimpl\ndef mura_explainers(): return ['x']", "not a Exp"),
    ],
)
def test_a_broken_plugin_is_named_and_harms_no_other(install, source, reason):
    install("mura-broken", source)
    install("mura-their-net", THEIR_NET)
    plugins = load_plugins()
    assert plugins.architecture("their-net")
    assert plugins.architecture("conv4")
    (failure,) = plugins.failures
    assert failure.distribution == "mura-broken"
    assert reason in failure.reason
    with pytest.raises(PluginError, match=r"'conv9' is not one of .*conv4, .*mura-broken"):
        plugins.architecture("conv9")
    result = mura_run("plugins")
    assert result.exit_code == 0
    assert "mura-broken" in result.output


RAISING = """
import mura_plugins as mura

@mura.hookimpl
def mura_architectures():
    yield mura.Architecture("raising-net", "{module}:build", "Raises.", "A paper")

@mura.hookimpl
def mura_explainers():
    yield mura.Explainer("raising-map", "{module}:explain", "Raises.", "A paper")

def build(input_shape):
    raise mura.{error}

explain = build
"""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("PluginError('install their-weights')", 2, "Error: install their-weights"),
        ("MuraError('their.bin: is damaged')", 1, "Error: their.bin: is damaged"),
        ("NotApplicable('it is flat', 'Use another.')", 1, "Error: it is flat. Use another."),
    ],
)
@pytest.mark.parametrize("command", ["train", "plan"])
def test_what_a_plugin_raises_is_one_line(install, mura, tmp_path, command, error, status, line):
    install("mura-raising", RAISING.format(module="mura_raising", error=error))
    data = ["--data", mura, "--out", tmp_path / "run"] if command == "train" else []
    result = mura_run(command, "--model", "raising-net", "--size", 32, *data)
    assert result.exit_code == status
    assert result.stderr.strip().splitlines()[-1] == line
    assert not (tmp_path / "run").exists()


def test_every_error_of_ours_is_shown_in_one_line_or_handled_inside():
    root = Path(__file__).parents[2]
    modules = [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for package in ("mura_core", "mura_models", "mura_plugins")
        for path in (root / package).rglob("*.py")
        if "class " in (text := path.read_text()) and ("Error(" in text or "Exception)" in text)
    ]
    errors = {
        found
        for module in modules
        for found in vars(import_module(module)).values()
        if isinstance(found, type)
        and issubclass(found, Exception)
        and found.__module__.startswith("mura_")
    }
    others = {error.__name__ for error in errors if not issubclass(error, mura_plugins.MuraError)}
    # The PNG reader's own, which `read_radiograph` turns into a RadiographError.
    assert others == {"PngError", "InflateError"}
    named = {getattr(mura_plugins, name) for name in mura_plugins.__all__}
    assert {mura_plugins.PluginError, mura_plugins.NotApplicable} <= errors & named


def test_two_providers_of_one_name_are_both_named(install):
    install("mura-their-net", THEIR_NET)
    install("mura-copy", THEIR_NET)
    plugins = load_plugins()
    assert plugins.architecture("conv4")
    with pytest.raises(PluginError, match="mura-copy and mura-their-net both offer it"):
        plugins.architecture("their-net")


WITH_ITS_OWN_LAYER = """
import keras

@keras.saving.register_keras_serializable("mura_own_layer")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def build(input_shape):
    inputs = keras.Input(input_shape)
    features = Doubled()(keras.layers.Conv2D(2, 3)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalMaxPool2D()(features)))
"""


def test_a_model_with_a_plugins_own_layer_is_loaded_anew(install, tmp_path, mura):
    (tmp_path / "own_network.py").write_text(WITH_ITS_OWN_LAYER)
    install("mura-own-layer", THEIR_NET.replace("mura_models.conv:conv4", "own_network:build"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = tmp_path / "run"
    train = ["train", "--model", "their-net", "--size", "32", "--epochs", "1"]
    images = str(mura / "MURA-v1.1" / "valid" / "XR_WRIST")
    for arguments in (
        [*train, "--data", str(mura), "--out", str(run)],
        ["explain", str(run), "--explain", "gradcam"],
        ["predict", "--model-file", str(run / "model.keras"), images],
    ):
        command = [sys.executable, "-m", "mura_core.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_variable_switches_plugins_off(install, monkeypatch):
    install("mura-their-net", THEIR_NET)
    monkeypatch.setenv("MURA_PLUGINS", "")
    offers = load_plugins().architectures
    assert {offer.distribution for offer in offers} == {"mura-run"}
    assert "their-net" not in {offer.record.name for offer in offers}
    monkeypatch.setenv("MURA_PLUGINS", "mura-their-net, mura-other")
    assert load_plugins().architecture("their-net")


def test_a_failing_listener_is_reported_and_others_hear(install, tmp_path):
    heard = tmp_path / "heard"
    listen = "import mura_plugins as m\n@m.hookimpl\ndef mura_run_finished(run): "
    install("mura-fails", listen + "raise RuntimeError('no disk')")
    install("mura-hears", listen + f"open({str(heard)!r}, 'w').write(run.model)")
    failures = load_plugins().tell_finished(RunSummary(Path("run"), "conv4"))
    assert [(f.distribution, f.reason) for f in failures] == [
        ("mura-fails", "RuntimeError: no disk")
    ]
    assert heard.read_text() == "conv4"


def test_a_function_that_cannot_be_imported_is_named():
    for name in ("mura_models.gone:build", "mura_models.conv:conv99"):
        with pytest.raises(PluginError, match=name):
            resolve(name)


def test_model_options_are_read_by_their_types():
    def build(
        shape,
        width: int = 4,
        rate: float = 0.5,
        skip: bool = True,
        blocks: tuple[int, ...] = (2, 2),
    ):
        pass

    settings = ("width=8", "rate=0.25", "skip=false", "blocks=1,2,3")
    assert parse_options(build, settings) == {
        "width": 8,
        "rate": 0.25,
        "skip": False,
        "blocks": (1, 2, 3),
    }
    with pytest.raises(
        PluginError, match=r"'depth=3' is not an option .* it has width=4, rate=0\.5"
    ):
        parse_options(build, ("depth=3",))
    with pytest.raises(PluginError, match="'width=wide': expected a value like width=4"):
        parse_options(build, ("width=wide",))
    assert parse_options(conv4, ("dropout=0.1",)) == {"dropout": 0.1}


BROKEN = """
import time
import keras
from keras import layers, ops

def _network(input_shape, logit):
    inputs = keras.Input(input_shape)
    features = layers.Conv2D(4, 3, activation="relu")(inputs)
    return keras.Model(inputs, logit(layers.GlobalMaxPooling2D()(features)))

def two_logits(input_shape):
    return _network(input_shape, layers.Dense(2))

def half(input_shape):
    return _network(input_shape, layers.Dense(1, dtype="float16"))

def probability(input_shape):
    return _network(input_shape, layers.Dense(1, activation="sigmoid"))

def unseeded(input_shape):
    initializer = keras.initializers.GlorotUniform(seed=time.time_ns() % 2**31)
    return _network(input_shape, layers.Dense(1, kernel_initializer=initializer))

def cut_off(input_shape):
    return _network(input_shape, lambda features: layers.Dense(1)(ops.stop_gradient(features)))

def constant(input_shape):
    return _network(input_shape, lambda features: 2 + layers.Dense(1)(0 * features))
"""


@pytest.mark.filterwarnings("ignore:.*from_logits:UserWarning")  # of the sigmoid
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two_logits", r"the output has shape \(None, 2\); expected one logit"),
        ("half", "the logit is float16, not float32"),
        ("probability", "probabilities instead of logits"),
        ("unseeded", "the same seed gives different weights"),
        ("cut_off", "no gradient reaches conv2d"),
        ("constant", "it can't overfit eight images"),
    ],
)
def test_an_architecture_that_breaks_the_contract_is_told_how(name, reason, tmp_path, monkeypatch):
    (tmp_path / "broken_networks.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_networks", raising=False)
    with pytest.raises(AssertionError, match=reason):
        check_architecture(Architecture(name, f"broken_networks:{name}", "", ""), sizes=(16, 24))


BROKEN_EXPLAINERS = """
import numpy as np
import tensorflow as tf

def honest(network, images, *, toward, seed):
    return toward * images * network.pixel_gradients(images)

def flat(network, images, *, toward, seed):
    return honest(network, images, toward=toward, seed=seed).mean(axis=0)

def doubles(network, images, *, toward, seed):
    return honest(network, images, toward=toward, seed=seed).astype(np.float64)

def undefined(network, images, *, toward, seed):
    return honest(network, images, toward=toward, seed=seed) / np.float32(0)

def scales_the_batch(network, images, *, toward, seed):
    maps = honest(network, images, toward=toward, seed=seed)
    return maps / images.shape[0]

def bytes_overflow(network, images, *, toward, seed):
    return honest(network, images + images, toward=toward, seed=seed)

def ignores_the_seed(network, images, *, toward, seed):
    return honest(network, images, toward=toward, seed=seed)

def has_chance(network, images, *, toward, seed):
    noise = np.random.default_rng(seed).random(images.shape[1:], np.float32)
    return honest(network, images, toward=toward, seed=seed) * (1 + noise)

def has_time(network, images, *, toward, seed):
    has_time.calls += 1
    return has_chance(network, images, toward=toward, seed=has_time.calls // 7)
has_time.calls = 0

def draws_globally(network, images, *, toward, seed):
    np.random.seed(seed)
    return honest(network, images, toward=toward, seed=seed)

def paints(network, images, *, toward, seed):
    maps = honest(network, images, toward=toward, seed=seed)
    images[:, :2] = 0
    return maps

def guided(network, images, *, toward, seed):
    maps = honest(network, images, toward=toward, seed=seed)
    network.model.layers[1].activation = tf.nn.relu6
    return maps

def freezes(network, images, *, toward, seed):
    maps = honest(network, images, toward=toward, seed=seed)
    network.model.trainable = False
    return maps

def trains(network, images, *, toward, seed):
    maps = honest(network, images, toward=toward, seed=seed)
    network.model.layers[1].set_weights([0.5 * w for w in network.model.layers[1].get_weights()])
    return maps

def probability(network, images, *, toward, seed):
    chance = 1 / (1 + np.exp(-network.logits(images)))
    slope = (chance * (1 - chance))[:, None, None]
    return slope * honest(network, images, toward=toward, seed=seed)

def marks_the_dark(network, images, *, toward, seed):
    return toward * (255 - images.astype(np.float32))

def against(network, images, *, toward, seed):
    return -honest(network, images, toward=toward, seed=seed)

def one_sided(network, images, *, toward, seed):
    return honest(network, images, toward=1, seed=seed)
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flat", r"maps have shape \(32, 48\); expected \(N, h, w\)"),
        ("doubles", "maps are float64, not float32"),
        ("undefined", "NaN or infinity"),
        ("scales_the_batch", "the maps of a batch differ from those of single images"),
        ("bytes_overflow", "uint8 and float32 give different maps"),
        ("has_chance", "stochastic=False, but maps depend on the seed"),
        ("draws_globally", "explaining changed NumPy's global random state"),
        ("paints", "explaining changed the images"),
        ("guided", "explaining changed the network"),
        ("freezes", "explaining changed the network"),
        ("trains", "explaining changed the network"),
        ("probability", "it must explain the logit instead"),
        ("marks_the_dark", "the map's peak isn't where the network's evidence is"),
        ("one_sided", "evidence for 'abnormal' isn't negative in the map for 'normal'"),
    ],
)
def test_an_explainer_that_breaks_the_contract_is_told_how(name, reason, broken_explainers):
    with pytest.raises(AssertionError, match=reason), np.errstate(all="ignore"):
        check_explainer(Explainer(name, f"broken_explainers:{name}", "", "", signed=True))


def test_the_record_must_say_what_an_explainer_is(broken_explainers):
    def record(name: str, **about: bool) -> Explainer:
        return Explainer(name, f"broken_explainers:{name}", "", "", **about)

    check_explainer(record("honest", signed=True))
    check_explainer(record("has_chance", signed=True, stochastic=True))
    with pytest.raises(AssertionError, match="stochastic=True, but maps don't depend on the seed"):
        check_explainer(record("ignores_the_seed", signed=True, stochastic=True))
    with pytest.raises(AssertionError, match="the same seed gives different maps"):
        check_explainer(record("has_time", signed=True, stochastic=True))
    with pytest.raises(AssertionError, match="an unsigned map has negative values"):
        check_explainer(record("against"))


@pytest.fixture
def broken_explainers(tmp_path, monkeypatch):
    (tmp_path / "broken_explainers.py").write_text(BROKEN_EXPLAINERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_explainers", raising=False)


@pytest.mark.parametrize("offer", load_plugins().explainers, ids=lambda o: o.record.name)
def test_built_in_explainers_keep_the_contract(offer):
    if offer.record.name == "cells":  # a part of the network, which the checked one doesn't have
        keras.utils.set_random_seed(0)
        check_explainer(offer.record, resnet18((64, 64, 1), width=0.125, cells=True))
    else:
        check_explainer(offer.record)


def test_the_example_package_installs_and_keeps_the_contract(tmp_path, monkeypatch):
    example = Path(__file__).parents[2] / "examples" / "mura-example-net"
    shutil.copytree(example, tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    target = tmp_path / "site"
    subprocess.run([*pip, "--target", str(target), str(tmp_path / "source")], check=True)
    monkeypatch.syspath_prepend(target)
    plugins = load_plugins()
    assert plugins.architectures[-1].distribution == "mura-example-net"
    check_architecture(plugins.architecture("example-net"), sizes=(32, 48))
