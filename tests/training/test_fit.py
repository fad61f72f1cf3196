"""Training: the network of 2019, its standardisation, and one device against two."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mura_core.data import prepare, read_manifest
from mura_core.errors import DataError, UsageError
from mura_core.imaging import PixelStatistics, Square, has_avx512, standardise
from mura_core.inference import load_model, predict_logits, probability, strategy_on
from mura_core.training import (
    Job,
    Recipe,
    TrainingData,
    build_model,
    compiled,
    fit_model,
    report_class_weights,
    training_batches,
    uses_xla,
)
from mura_core.training.fit import look_at_shares
from mura_core.training.optimizer import CentralisedAdam, head_variables
from mura_models.conv import conv4
from mura_plugins import PluginError


def test_conv4_has_the_layers_of_2019():
    model = conv4((224, 224, 1))
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    block = ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"]
    assert kinds == block * 5 + ["Flatten", "Dense", "Dropout", "Dense"]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [2, 4, 8, 16, 32]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.padding for layer in convolutions} == {"same"}
    # By hand: convolutions (9 in + 1) out, normalisations 4 a channel, dense 7*7*32*64+64 and 65.
    convolution_weights = 20 + 76 + 296 + 1168 + 4640
    assert model.count_params() == convolution_weights + 4 * 62 + 100_416 + 65


def test_class_weights_are_the_reports():
    labels = np.array([0] * 30 + [1] * 10)
    # The report's, 4/3 and 4, over their mean over the images, 2; with b = 20: 4/3 and 6, over 5/2.
    assert report_class_weights(labels) == pytest.approx({0: 2 / 3, 1: 2.0})
    biased = report_class_weights(labels, false_positive_bias=20)
    assert biased == pytest.approx({0: 8 / 15, 1: 12 / 5})


@given(normal=st.integers(1, 50), abnormal=st.integers(1, 50), bias=st.floats(0, 100, width=16))
def test_class_weights_keep_the_reports_ratio_and_have_a_mean_of_one(normal, abnormal, bias):
    weights = report_class_weights(np.repeat([0, 1], [normal, abnormal]), bias)
    reports = 1 + abnormal / normal, 1 + (normal + bias) / abnormal
    assert weights[1] / weights[0] == pytest.approx(reports[1] / reports[0])
    assert normal * weights[0] + abnormal * weights[1] == pytest.approx(normal + abnormal)


def identity(shape):
    """A network whose logit is the sum of its standardised pixels."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.ops.sum(inputs, axis=(1, 2)))


def test_the_first_layer_standardises_as_numpy_does():
    random = np.random.default_rng(0)
    deviation = random.uniform(1, 50, (6, 6))
    deviation[2, 3] = 0  # never varied
    statistics = PixelStatistics(random.uniform(0, 255, (6, 6)), deviation, 10)
    images = random.integers(0, 256, (5, 6, 6), dtype=np.uint8)
    model = build_model(identity, {}, statistics, Square(6))
    expected = standardise(images, statistics)
    assert np.isfinite(expected).all()
    layer = keras.Model(model.input, model.get_layer("standardisation").output)
    np.testing.assert_allclose(layer(images[..., None])[..., 0], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layer(images[..., None])[:, 2, 3, 0], 0)
    raw = build_model(identity, {}, None, Square(6))
    np.testing.assert_allclose(
        raw(images[..., None].astype(np.float32))[:, 0], images.sum(axis=(1, 2)), rtol=1e-6
    )


def test_an_architecture_that_ends_in_two_outputs_is_refused():
    def two(shape):
        inputs = keras.Input(shape)
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))

    with pytest.raises(DataError, match=r"shape \(None, 2\); expected one logit per image"):
        build_model(two, {}, None, Square(8))


def test_the_order_of_images_depends_on_seed_and_epoch_alone():
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    labels = np.arange(10) % 2

    def epochs(seed: int) -> list[list[int]]:
        batches = training_batches(
            images, np.arange(10), labels, batch_size=4, steps=2, epochs=3, seed=seed
        ).as_numpy_iterator()
        seen = []
        for batch, its_labels in batches:
            assert batch.shape == (4, 2, 2, 1)
            numbers = batch[:, 0, 0, 0].tolist()
            assert its_labels[:, 0].tolist() == [number % 2 for number in numbers]
            seen.append(numbers)
        # Two whole batches an epoch; two images sit each epoch out.
        return [seen[0] + seen[1], seen[2] + seen[3], seen[4] + seen[5]]

    first = epochs(seed=1)
    assert first == epochs(seed=1)
    assert first != epochs(seed=2)
    assert first[0] != first[1]
    assert all(len(set(epoch)) == 8 for epoch in first)


def test_probabilities_do_not_overflow():
    np.testing.assert_allclose(probability(np.float32([-1e4, 0, 2, 1e4])), [0, 0.5, 0.880797, 1])


@pytest.fixture(scope="module")
def trained(mura, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    prepared = prepare(read_manifest(mura), folder / "cache", Square(32))
    keras.utils.set_random_seed(1)
    statistics = prepared.statistics()
    model = fit_model(
        lambda: build_model(conv4, {}, statistics, Square(32)),
        TrainingData(prepared.images, prepared.table, {0: 1.0, 1: 1.0}),
        # Batch normalisation's moving statistics take a few hundred steps to settle.
        Recipe(epochs=20, batch_size=4, learning_rate=3e-3, jit="off"),
        Job(folder, seed=1, strategy=strategy_on("cpu")),
    )
    return folder, prepared, model


def test_a_network_learns_what_can_be_learnt(trained):
    _, prepared, model = trained
    trains = np.flatnonzero(prepared.table["split"] == "train")
    logits = predict_logits(model, prepared.images, trains)
    labels = prepared.table["label"].to_numpy()[trains]
    assert ((logits > 0) == (labels == 1)).mean() > 0.9


def test_after_each_epoch_model_and_history_are_on_the_disk(trained):
    folder, prepared, model = trained
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 21
    assert history[0].startswith(
        "seed,epoch,accuracy,loss,val_loss,val_auroc,learning_rate,seconds"
    )
    saved = load_model(folder / "model.keras")
    rows = np.arange(len(prepared.table))
    np.testing.assert_array_equal(
        predict_logits(saved, prepared.images, rows), predict_logits(model, prepared.images, rows)
    )


def test_predictions_do_not_depend_on_the_batch(trained):
    _, prepared, model = trained
    rows = np.arange(len(prepared.table))
    together = predict_logits(model, prepared.images, rows)
    singly = [predict_logits(model, prepared.images, rows[row : row + 1])[0] for row in (0, 40, 63)]
    np.testing.assert_allclose(together[[0, 40, 63]], singly, atol=1e-5)


def test_a_model_file_that_is_none_or_runs_code_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone\.keras: no such model file"):
        load_model(tmp_path / "gone.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(DataError, match=r"text\.keras: can't be loaded"):
        load_model(tmp_path / "text.keras")
    inputs = keras.Input((4, 4, 1))
    code = keras.layers.Lambda(lambda x: x)(inputs)
    keras.Model(inputs, code).save(tmp_path / "code.keras")
    with pytest.raises(DataError, match=r"code\.keras: can't be loaded .*contains code"):
        load_model(tmp_path / "code.keras")


TRAIN_ON_DEVICES = """
import json, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from mura_core import Square, prepare, read_manifest
from mura_core.data.splits import with_tuning
from mura_core.inference import predict_logits
from mura_core.training import Job, Recipe, TrainingData, build_model, fit_model
layers = keras.layers
def network(shape):
    # No bias before the normalisation: it has no effect there but its gradient, which is rounding
    # noise alone, and which Adam blows up to whole steps.
    inputs = keras.Input(shape)
    features = layers.Conv2D(8, 3, use_bias=False)(inputs)
    features = layers.ReLU()(layers.BatchNormalization()(features))
    features = layers.Flatten()(layers.MaxPooling2D(4)(features))
    return keras.Model(inputs, layers.Dense(1)(features))
folder = Path(sys.argv[2])
prepared = prepare(read_manifest(Path(sys.argv[1])), folder / "cache", Square(32))
statistics = prepared.statistics()
options = json.loads(sys.argv[3])
table = prepared.table[:61]  # a number that no batch divides
table = with_tuning(table, seed=3, tunes="keep" in options)
logits = []
for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    run = Path(tempfile.mkdtemp(dir=folder))
    # Two devices are stopped after an epoch, and go on.
    for epochs in ((2,) if len(devices) == 1 else (1, 2)):
        keras.utils.set_random_seed(3)
        # A cosine over one epoch isn't the first half of one over two.
        recipe = Recipe(epochs=epochs, schedule="constant", **options)
        model = fit_model(lambda: build_model(network, {}, statistics, Square(32)),
                          TrainingData(prepared.images, table, {0: 1.3, 1: 3.0}), recipe,
                          Job(run, seed=3, strategy=tf.distribute.MirroredStrategy(devices)))
    logits.append(predict_logits(model, prepared.images, np.arange(len(table))))
print(float(np.abs(logits[0] - logits[1]).max()), float(np.ptp(logits[0])))
"""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 2, "augment": ["flip", "rotate"]},
        {"rematerialise": True, "keep": "best", "weight_decay": 0.01},
    ],
)
def test_two_devices_train_what_one_does(mura, tmp_path, options):
    command = [
        sys.executable, "-c", TRAIN_ON_DEVICES, str(mura), str(tmp_path), json.dumps(options)
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    difference, spread = map(float, done.stdout.split())
    assert spread > 0.1
    assert difference < 1e-5


def test_a_network_that_an_image_is_too_small_for_is_refused_in_one_line():
    def deep(shape):
        features = inputs = keras.Input(shape)
        for _ in range(3):
            features = keras.layers.MaxPooling2D(4)(features)
        return keras.Model(inputs, keras.layers.Dense(1)(features))

    with pytest.raises(UsageError, match="can't be built for 16 x 16 pixels: Computed"):
        build_model(deep, {}, None, Square(16))
    with pytest.raises(PluginError, match=r"^conv4 takes images of at least 32 x 32 pixels"):
        build_model(conv4, {}, None, Square(16))


def test_batches_that_devices_cannot_share_are_refused_or_warned_of(caplog):
    look_at_shares(8, 2)
    assert not caplog.text
    look_at_shares(8, 3)
    assert "Use --batch-size 9" in caplog.text
    with pytest.raises(UsageError, match="batches of 2 can't be split across 3 devices"):
        look_at_shares(2, 3)


def test_xla_on_several_devices_is_refused():
    two = SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(UsageError, match="--jit on: XLA can't compile a training step on 2 devic"):
        uses_xla("on", two, None)
    assert uses_xla("auto", two, None) is False


def test_devices_are_chosen_by_name():
    assert strategy_on("all").num_replicas_in_sync == 1
    assert strategy_on("cpu").extended.worker_devices == (
        "/job:localhost/replica:0/task:0/device:CPU:0",
    )
    with pytest.raises(UsageError, match=r"--devices: 'gpu:7' is not one of cpu:0"):
        strategy_on("cpu, gpu:7")


def test_xla_is_left_off_for_depthwise_convolutions():
    def network(layer):
        inputs = keras.Input((8, 8, 1))
        pooled = keras.layers.GlobalAveragePooling2D()(layer(inputs))
        return keras.Model(inputs, keras.layers.Dense(1)(pooled))

    depthwise = network(keras.layers.DepthwiseConv2D(3))
    outer = keras.Input((8, 8, 1))
    for model in (depthwise, keras.Model(outer, depthwise(outer))):
        assert not uses_xla("auto", strategy_on("cpu"), model)
        assert uses_xla("on", strategy_on("cpu"), model)
    ordinary = network(keras.layers.Conv2D(2, 3))
    assert uses_xla("auto", strategy_on("cpu"), ordinary) is not has_avx512()
    assert not uses_xla("off", strategy_on("cpu"), ordinary)


def test_a_centralised_step_moves_no_unit_the_same_way_for_all_inputs():
    # Adam's first step is the sign of the gradient; of a centralised one, signs balance.
    random = np.random.default_rng(0)
    inputs = random.uniform(1, 2, (64, 30)).astype(np.float32)  # all positive, as behind a ReLU
    layer = keras.layers.Dense(5)
    layer.build(inputs.shape)
    upstream = random.normal(size=(30, 5)).astype(np.float32)
    moved = {}
    for name, centralised in (("plain", ()), ("centralised", (layer.kernel,))):
        layer.kernel.assign(np.zeros((30, 5)))
        optimizer = CentralisedAdam(learning_rate=0.01, centralised=centralised)
        optimizer.build(layer.trainable_variables)
        gradient = np.abs(upstream) + 0.1  # one noisy batch pushes every weight one way
        optimizer.apply([gradient, np.zeros(5, np.float32)], layer.trainable_variables)
        moved[name] = np.asarray(layer.kernel)
    np.testing.assert_allclose(moved["plain"], -0.01, rtol=1e-4)
    centred = np.abs(upstream) - np.abs(upstream).mean(axis=0)
    clear = np.abs(centred) > 1e-3
    expected = -0.01 * np.sign(centred[clear])
    np.testing.assert_allclose(moved["centralised"][clear], expected, rtol=1e-3)
    plain, centralised = (np.abs((inputs @ moved[name]).mean(0)).max() for name in moved)
    assert centralised < 0.5 * plain


def test_the_head_takes_larger_steps():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="logit")(hidden))
    assert [one.path for one in head_variables(model)] == ["logit/kernel", "logit/bias"]
    optimizer = CentralisedAdam(learning_rate=0.01, faster=head_variables(model), factor=4.0)
    optimizer.build(model.trainable_variables)
    before = model.get_weights()
    optimizer.apply([np.ones_like(one) for one in before], model.trainable_variables)
    steps = [float((a - b).mean()) for a, b in zip(before, model.get_weights(), strict=True)]
    assert steps == pytest.approx([0.01, 0.01, 0.04, 0.04], rel=1e-3)


def test_the_zero_head_is_for_a_dense_logit_only(mura: Path, tmp_path: Path):
    prepared = prepare(read_manifest(mura), tmp_path / "cache", Square(32))

    def build():
        return build_model(conv4, {}, prepared.statistics(), Square(32))

    for zero in (True, False):
        model, trained = compiled(build, Recipe(zero_logit=zero), 1, strategy_on("cpu"))
        [kernel] = [one for one in model.variables if one.path.endswith("logit/kernel")]
        assert bool((np.asarray(kernel) == 0).all()) is zero
        assert trained is not model  # what is saved isn't compiled
        assert not model.compiled
