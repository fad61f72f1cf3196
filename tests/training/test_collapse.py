"""A network that gives every image the same answer: noticed, trained again, never judged."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from command_line import SMALL, mura_run, refused
from hypothesis import given
from hypothesis import strategies as st

from mura_core.data import prepare, read_manifest
from mura_core.evaluation import SAME_ANSWER, is_constant
from mura_core.imaging import Square
from mura_core.inference import strategy_on
from mura_core.training import (
    Job,
    Recipe,
    TrainingCollapsed,
    TrainingData,
    build_model,
    fit_model,
    read_history,
)
from mura_core.training.collapse import collapse_reason, least_active_layer

layers = keras.layers

# Networks that can't tell images apart, by what was done to them. Each takes the place of a plugin.
PLANTED = """
import keras
import mura_plugins as mura

layers = keras.layers

@mura.hookimpl
def mura_architectures():
    for name in ("negative_bias", "zero_head", "diverging", "dead_at_first"):
        yield mura.Architecture(name, f"{__name__}:{name}", "Planted.", "None")

def ending(inputs, features, name, **head):
    features = layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, layers.Dense(1, name="logit", **head)(features), name=name)

def negative_bias(shape):
    inputs = keras.Input(shape)
    features = layers.Conv2D(4, 3, activation="relu", name="alive")(inputs)
    bias = keras.initializers.Constant(-1e6)
    features = layers.Conv2D(4, 3, activation="relu", bias_initializer=bias, name="dead")(features)
    return ending(inputs, features, "negative_bias")

def zero_head(shape):
    inputs = keras.Input(shape)
    features = layers.Conv2D(4, 3, activation="relu")(inputs)
    return ending(inputs, features, "zero_head", kernel_initializer="zeros", trainable=False)

def diverging(shape):
    inputs = keras.Input(shape)
    features = layers.Conv2D(4, 3)(inputs)
    return ending(inputs, features * float("inf"), "diverging")

BUILT = []

def dead_at_first(shape):
    BUILT.append(shape)
    # A run builds a network before it reads the images, and another to train it.
    return (negative_bias if len(BUILT) <= 2 else alive)(shape)

def alive(shape):
    inputs = keras.Input(shape)
    return ending(inputs, layers.Conv2D(4, 3, activation="relu")(inputs), "alive")
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Install a distribution with the planted networks."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mura_planted.py").write_text(PLANTED)
    info = tmp_path / "mura_planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mura-planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mura]\nplanted = mura_planted\n")
    monkeypatch.delitem(sys.modules, "mura_planted", raising=False)


def test_logits_that_differ_by_rounding_alone_are_one_answer():
    random = np.random.default_rng(0)
    for level in (0.0, 0.3, -7.0, 4e5):
        noise = random.integers(-2, 3, 100) * np.spacing(np.float32(max(abs(level), 1.0)))
        assert is_constant((level + noise).astype(np.float32))
        assert not is_constant(level + noise + np.linspace(0, 1e-3 * max(abs(level), 1), 100))
    assert not is_constant(np.float32([0.5]))


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=20),
    scale=st.sampled_from([1.0, 1e3]),
)
def test_one_answer_depends_on_the_spread_alone(logits, scale):
    values = np.array(logits) * scale
    spread = values.max() - values.min()
    if spread > 1e-4 * max(1, np.abs(values).max()):
        assert not is_constant(values)
    if spread == 0:
        assert is_constant(values)


def network(*, bias: float = 0.0, skip: bool = False, nested: bool = False) -> keras.Model:
    """Two convolutions, the second of which a large negative bias switches off."""
    inputs = keras.Input((16, 16, 1))
    first = layers.Conv2D(3, 3, padding="same", activation="relu", name="first")(inputs)
    initial = keras.initializers.Constant(bias)
    second = layers.Conv2D(3, 3, padding="same", bias_initializer=initial, name="second")(first)
    second = layers.ReLU(name="second_relu")(second)
    features = layers.Add(name="join")([first, second]) if skip else second
    features = layers.GlobalAveragePooling2D(name="mean")(features)
    model = keras.Model(inputs, layers.Dense(1)(features))
    if not nested:
        return model
    outer = keras.Input((16, 16, 1))
    return keras.Model(outer, model(outer))


IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize("nested", [False, True])
def test_the_first_layer_without_an_active_unit_is_named(nested):
    keras.utils.set_random_seed(0)
    dead = network(bias=-1e6, nested=nested)
    found = least_active_layer(dead, IMAGES)
    assert (found.layer, found.share) == ("second_relu", 0)
    logits = np.asarray(dead(IMAGES[..., None]))[:, 0]
    reason = collapse_reason(logits, found, 0.7)
    assert reason == f"{SAME_ANSWER}, because no unit of its layer second_relu is ever active"


def test_a_dead_branch_that_is_skipped_is_no_collapse():
    keras.utils.set_random_seed(0)
    alive = network(bias=-1e6, skip=True)
    found = least_active_layer(alive, IMAGES)
    assert found.share == 0
    assert collapse_reason(np.asarray(alive(IMAGES[..., None]))[:, 0], found, 0.7) is None


def test_looking_at_a_network_leaves_it_as_it_was(tmp_path):
    model = network()
    before = np.asarray(model(IMAGES[..., None]))
    least_active_layer(model, IMAGES)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(IMAGES[..., None])), before)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A network that is no graph of layers, dead behind its first one."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = layers.Conv2D(3, 3, activation="relu", name="looks")
        bias = keras.initializers.Constant(-1e6)
        self.hidden = layers.Dense(4, activation="relu", bias_initializer=bias, name="hidden")
        self.unit = layers.Dense(1)

    def call(self, images):
        return self.unit(self.hidden(keras.ops.mean(self.convolution(images), axis=(1, 2))))


def test_subclassed_networks_are_looked_into():
    assert least_active_layer(Subclassed(), IMAGES).layer == "hidden"


def test_a_huge_learning_rate_is_noticed(mura: Path, tmp_path):
    prepared = prepare(read_manifest(mura), tmp_path / "cache", Square(32))
    from mura_models.conv import conv2

    with pytest.raises(TrainingCollapsed, match=r"epoch \d: (the training diverged|the network)"):
        fit_model(
            lambda: build_model(conv2, {}, prepared.statistics(), Square(32)),
            TrainingData(prepared.images, prepared.table),
            Recipe(epochs=3, learning_rate=1e12, jit="off"),
            Job(tmp_path, seed=0, strategy=strategy_on("cpu")),
        )
    assert not (tmp_path / "checkpoint.npz").exists()
    assert read_history(tmp_path)[-1]["collapse"]


@pytest.mark.parametrize("name", ["negative_bias", "zero_head"])
def test_a_network_that_stays_dead_gets_no_figure_and_no_heatmap(planted, mura, tmp_path, name):
    folder = tmp_path / "run"
    result = mura_run(
        "--data", mura, "--model", name, "--explain", "gradcam", "--out", folder, *SMALL
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.count("Training restarts from seed") == 2
    assert f"Trained from 3 seeds, but {SAME_ANSWER}" in result.stderr
    assert f"No heatmap is drawn, because {SAME_ANSWER}" in result.stderr
    history = pd.read_csv(folder / "history.csv")
    assert history["seed"].tolist() == [5, 6, 7]
    assert history["collapse"].str.startswith(SAME_ANSWER).all()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [one["seed"] for one in metrics["restarts"]] == [5, 6, 7]
    assert metrics["heatmaps"] is None
    for row in metrics["figures"]:
        assert row["not_given"] == SAME_ANSWER
        assert row["auroc"] is row["accuracy"] is None
    page = (folder / "report.html").read_text()
    assert f"There are no figures: {SAME_ANSWER}" in page
    assert "%" not in result.stdout.split("Validation")[1]
    predicted = mura_run("predict", "--model-file", folder / "model.keras", mura)
    assert predicted.exit_code == 0
    assert f"model.keras: {SAME_ANSWER}" in predicted.stderr
    refused(1, SAME_ANSWER, "predict", folder, mura)
    again = mura_run("evaluate", folder)
    assert "beats" not in again.output
    assert SAME_ANSWER in again.output


def test_a_training_that_diverges_from_every_seed_fails_in_one_line(planted, mura, tmp_path):
    arguments = ("--data", mura, "--model", "diverging", "--out", tmp_path / "run", *SMALL)
    refused(1, "from 3 seeds: lower --learning-rate", *arguments)


def test_without_restart_a_collapse_fails(planted, mura, tmp_path):
    arguments = ("--data", mura, "--model", "zero_head", "--out", tmp_path / "run", *SMALL)
    refused(1, f"epoch 1: {SAME_ANSWER}", "--no-restart", *arguments)


def test_the_next_seed_is_kept_and_said(planted, mura, tmp_path):
    folder = tmp_path / "run"
    result = mura_run("--data", mura, "--model", "dead_at_first", "--out", folder, *SMALL)
    assert result.exit_code == 0, result.output
    history = pd.read_csv(folder / "history.csv")
    assert history["seed"].tolist() == [5, 6, 6]
    assert history["epoch"].tolist() == [1, 1, 2]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [one["seed"] for one in metrics["restarts"]] == [5]
    said = "The training from seed 5 collapsed in epoch 1"
    assert said in result.output
    assert said in (folder / "report.html").read_text()
    assert metrics["figures"][0]["auroc"] is not None
