"""What a recipe asks for is what is done, and a run that was killed goes on."""

import os
import re
import resource
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from command_line import own_process
from PIL import Image
from scipy import ndimage

from mura_core.data.splits import with_tuning
from mura_core.errors import DataError, UsageError
from mura_core.imaging import Square
from mura_core.inference import load_model, predict_logits, strategy_on
from mura_core.training import (
    Augmentation,
    Job,
    Recipe,
    TrainingData,
    build_model,
    compiled,
    fit_model,
    refuse_unwatchable,
    write_contact_sheet,
)
from mura_core.training.augmentation import draw_numbers
from mura_models.conv import conv4

SIDE = 32


def network(shape) -> keras.Model:
    """No batch normalisation, so that a batch is the sum of its parts."""
    inputs = keras.Input(shape)
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    features = keras.layers.Flatten()(keras.layers.MaxPooling2D(4)(features))
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(features))


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, pd.DataFrame]:
    """Images whose abnormal ones have a brighter half; some are mislabelled."""
    random = np.random.default_rng(0)
    count = 80
    label = np.arange(count) % 2
    images = random.integers(0, 120, (count, SIDE, SIDE), dtype=np.uint8)
    images[label == 1, :, SIDE // 2 :] += 60
    table = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(count)],
            "body_part": "HAND",
            "patient": [f"patient{number // 2}" for number in range(count)],
            "study": "study1",
            "label": np.where(random.random(count) < 0.1, 1 - label, label),
            "split": np.where(np.arange(count) < 64, "train", "valid"),
        }
    )
    return images, table


def trained(data, folder: Path, recipe: Recipe, build=network, class_weights=None) -> keras.Model:
    images, table = data
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(7)
    return fit_model(
        lambda: build_model(build, {}, None, Square(SIDE)),
        TrainingData(images, with_tuning(table, seed=7, tunes=recipe.watches), class_weights),
        recipe,
        Job(folder, seed=7, strategy=strategy_on("cpu")),
    )


def history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv")


@pytest.mark.parametrize("jit", ["on", "off"])
def test_accumulated_gradients_are_those_of_the_large_batch(data, tmp_path, jit):
    weights = {0: 1.7, 1: 0.6}
    recipes = [
        Recipe(epochs=3, batch_size=16, jit=jit),
        Recipe(epochs=3, batch_size=4, accumulate=4, jit=jit),
    ]
    models = [
        trained(data, tmp_path / str(number), recipe, class_weights=weights)
        for number, recipe in enumerate(recipes)
    ]
    for whole, parts in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(whole, parts, atol=2e-5)
    losses = [history(tmp_path / str(number))["loss"] for number in (0, 1)]
    # Keras reports an epoch's mean, in which each part's loss is taken before the weights move.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_schedules(data, tmp_path):
    rates = {}
    for schedule in ("constant", "cosine", "plateau"):
        recipe = Recipe(epochs=10, batch_size=16, learning_rate=0.5, schedule=schedule, warm_up=2)
        trained(data, tmp_path / schedule, recipe)
        rates[schedule] = history(tmp_path / schedule)["learning_rate"].to_numpy()
    assert (rates["constant"] == 0.5).all()
    # After two epochs' rise it is at its highest, and at the end at 0: half a cosine.
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(9) / 8))
    np.testing.assert_allclose(rates["cosine"][1:], expected, atol=1e-6)
    assert rates["cosine"][0] == pytest.approx(0.25)
    # A rate of 0.5 is far too high: the loss gets worse, and the rate goes down by tens.
    assert set(np.round(np.log10(rates["plateau"] / 0.5), 3)) <= {0.0, -1.0, -2.0, -3.0}
    assert rates["plateau"][-1] < 0.5


def test_the_best_epoch_is_chosen_on_training_patients_and_kept(data, tmp_path, caplog):
    images, table = data
    recipe = Recipe(epochs=12, batch_size=8, learning_rate=0.03, keep="best", watch="loss")
    with caplog.at_level("INFO", logger="mura"):
        model = trained(data, tmp_path / "best", recipe)
    seen = history(tmp_path / "best")
    best = int(seen["tune_loss"].argmin())
    assert best < 11, "the last epoch was the best: this shows nothing"
    assert f"Kept the weights of epoch {best + 1}, which has the best loss on" in caplog.text
    # The model is that epoch's: its validation loss is the one of that row.
    valid = np.flatnonzero(table["split"] == "valid")
    labels = table["label"].to_numpy()[valid]
    for judged in (model, load_model(tmp_path / "best" / "model.keras")):
        logits = predict_logits(judged, images, valid)
        loss = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()
        assert loss == pytest.approx(seen["val_loss"][best], rel=1e-5)


def test_what_is_watched_does_not_depend_on_validation_images(data, tmp_path):
    images, table = data
    recipe = Recipe(epochs=4, keep="best", early_stopping=2, schedule="plateau")
    others = images.copy()
    others[table["split"] == "valid"] = 255 - others[table["split"] == "valid"]
    models = [
        trained((some, table), tmp_path / name, recipe)
        for name, some in (("one", images), ("other", others))
    ]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_stops_early(data, tmp_path):
    recipe = Recipe(epochs=40, learning_rate=0.1, early_stopping=3, watch="auroc")
    trained(data, tmp_path / "run", recipe)
    figures = history(tmp_path / "run")["tune_auroc"].to_numpy()
    assert len(figures) < 40
    assert figures[:-3].max() >= figures[-3:].max()


@pytest.mark.parametrize("tuning", [(0, 0, 0), (1,), ()])
def test_an_auroc_that_cannot_be_computed_is_refused(tuning):
    table = pd.DataFrame(
        {"label": [0, 1, *tuning], "split": ["train"] * 2 + ["tune"] * len(tuning)}
    )
    watching = Recipe(keep="best", watch="auroc")
    with pytest.raises(DataError, match="have no AUROC: use --watch loss, or more patients"):
        refuse_unwatchable(table, watching)
    for recipe in (replace(watching, watch="loss"), Recipe(watch="auroc")):
        refuse_unwatchable(table, recipe)
    both = pd.DataFrame({"label": [0, 1], "split": "tune"})
    refuse_unwatchable(both, watching)


def test_label_smoothing_and_weight_decay(data, tmp_path):
    plain, smooth, decayed = (
        trained(data, tmp_path / name, Recipe(epochs=15, learning_rate=0.02, **options))
        for name, options in (
            ("plain", {}), ("smooth", {"label_smoothing": 0.4}), ("decayed", {"weight_decay": 0.5}),
        )
    )  # fmt: skip
    rows = np.arange(len(data[0]))
    assert np.ptp(predict_logits(smooth, data[0], rows)) < np.ptp(
        predict_logits(plain, data[0], rows)
    )
    size = [np.square(model.trainable_weights[0]).sum() for model in (plain, decayed)]
    assert size[1] < size[0]


def test_weight_decay_leaves_out_biases_and_normalisation():
    def normalised(shape) -> keras.Model:
        inputs = keras.Input(shape)
        features = keras.layers.Conv2D(4, 3)(inputs)
        features = keras.layers.ReLU()(keras.layers.BatchNormalization()(features))
        features = keras.layers.GlobalAveragePooling2D()(features)
        return keras.Model(inputs, keras.layers.Dense(1)(features))

    recipe = Recipe(weight_decay=0.1, learning_rate=0.5, schedule="constant", jit="off")
    _, model = compiled(
        lambda: build_model(normalised, {}, None, Square(SIDE)),
        recipe,
        10,
        strategy_on("cpu"),
        class_weights=None,
    )
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(keras.ops.ones_like(variable))
    model.optimizer.apply([keras.ops.zeros_like(one) for one in variables], variables)
    # Without a gradient only decay changes a weight: by the rate times the decay.
    values = {one.path.split("/")[-1]: keras.ops.convert_to_numpy(one) for one in variables}
    assert set(values) == {"kernel", "bias", "gamma", "beta"}
    np.testing.assert_allclose(values.pop("kernel"), 0.95, rtol=1e-6)
    for name, value in values.items():
        np.testing.assert_array_equal(value, 1, err_msg=name)


def test_mixed_precision_computes_in_16_bits_and_saves_a_plain_model(data, tmp_path):
    recipe = Recipe(epochs=2, mixed_precision=True, rematerialise=True, augment=("rotate",))
    model = trained(data, tmp_path / "run", recipe, build=conv4)
    [convolution, *_] = [
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolution.compute_dtype == "bfloat16"  # on a CPU
    assert convolution.variable_dtype == "float32"
    assert model.outputs[0].dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    rows = np.arange(8)
    again = load_model(tmp_path / "run" / "model.keras")
    np.testing.assert_array_equal(
        predict_logits(again, data[0], rows), predict_logits(model, data[0], rows)
    )


# Augmentation -----------------------------------------------------------------------------------


def disc(row: int, column: int) -> np.ndarray:
    rows, columns = np.mgrid[:61, :61]
    return (((rows - row) ** 2 + (columns - column) ** 2) < 16).astype(np.uint8) * 200


def centre(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return tuple((where * image).sum() / image.sum() - 30 for where in (rows, columns))


def augmented(image: np.ndarray, kinds, **numbers: float) -> np.ndarray:
    names = ("flip", "angle", "down", "across", "contrast", "zoom", "brightness")
    row = [[numbers.get(name, 0.0 if name == "flip" else 0.5) for name in names]]
    return Augmentation(kinds)([image[None, ..., None], np.float32(row)]).numpy()[0, ..., 0]


def test_images_are_mirrored_turned_and_shifted():
    image = disc(30, 50)  # 20 to the right of the centre
    np.testing.assert_allclose(augmented(image, ["flip"], flip=0.2), image)
    np.testing.assert_allclose(augmented(image, ["flip"], flip=0.7), image[:, ::-1])
    down, across = centre(augmented(image, ["rotate"], angle=1.0))
    assert np.hypot(down, across) == pytest.approx(20, abs=0.2)
    # Counterclockwise: what was on the right goes up, where rows count less.
    assert np.rad2deg(np.arctan2(down, across)) == pytest.approx(-30, abs=0.5)
    moved = centre(augmented(disc(30, 30), ["shift"], down=1.0, across=0.25))
    assert moved == pytest.approx((6.1, -3.05), abs=0.1)
    # What isn't asked for isn't done, whatever the numbers.
    names = ("flip", "angle", "down", "across", "contrast", "zoom", "brightness")
    everything = dict.fromkeys(names, 0.99)
    np.testing.assert_array_equal(augmented(image, [], **everything), image)


@pytest.mark.parametrize("flip", [0.1, 0.9])
@pytest.mark.parametrize(("down", "across"), [(0.5, 0.5), (0.93, 0.21), (0.0, 0.99)])
def test_shifts_are_scipys_with_and_without_a_turn(flip, down, across):
    image = np.random.default_rng(0).integers(0, 256, (61, 47), dtype=np.uint8)
    numbers = {"flip": flip, "down": down, "across": across}
    by = 0.2 * (down - 0.5) * 61, 0.2 * (across - 0.5) * 47  # a tenth of the side at most
    moved = ndimage.shift(image.astype(np.float64), by, order=1, mode="grid-constant")
    expected = moved if flip < 0.5 else moved[:, ::-1]
    np.testing.assert_allclose(augmented(image, ["flip", "shift"], **numbers), expected, atol=2e-3)
    turned_by_0 = augmented(image, ["flip", "shift", "rotate"], **numbers)
    np.testing.assert_allclose(turned_by_0, expected, atol=2e-3)


def test_rotation_is_pillows():
    image = np.random.default_rng(0).integers(0, 256, (61, 61), dtype=np.uint8)
    ours = augmented(image, ["rotate"], angle=0.9)  # 0.8 of 30 degrees
    grey = Image.fromarray(image.astype(np.float32), mode="F")
    peer = np.asarray(grey.rotate(24, Image.Resampling.BILINEAR))  # counterclockwise
    inside = np.s_[12:49, 12:49]  # at the border Pillow and we differ in what lies outside
    assert abs(ours - peer)[inside].max() < 0.1
    assert (
        abs(
            augmented(image, ["rotate=10"], angle=0.9)
            - np.asarray(grey.rotate(8, Image.Resampling.BILINEAR))
        )[inside].max()
        < 0.1
    )


def test_zoom_is_scipys_with_and_without_a_turn():
    image = np.random.default_rng(0).integers(0, 256, (61, 47), dtype=np.uint8)
    for number, factor in ((1.0, 1.15), (0.0, 0.85), (0.75, 1.075)):
        middle = (np.array(image.shape) - 1) / 2
        expected = ndimage.affine_transform(
            image.astype(np.float64), np.eye(2) / factor, middle - middle / factor, order=1,
            mode="grid-constant",
        )  # fmt: skip
        for kinds in (["zoom"], ["zoom", "rotate"]):
            ours = augmented(image, kinds, zoom=number)
            np.testing.assert_allclose(ours, expected, atol=5e-3)


def test_brightness_is_added_and_stays_within_the_levels():
    image = np.array([[0, 120], [140, 250]], np.uint8)
    brighter = augmented(image, ["brightness"], brightness=1.0)
    np.testing.assert_allclose(brighter, [[25.5, 145.5], [165.5, 255]], rtol=1e-6)
    darker = augmented(image, ["brightness=0.2"], brightness=0.0)
    np.testing.assert_allclose(darker, [[0, 69], [89, 199]], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("tilt", "'tilt' is not one of flip, rotate, shift, zoom, contrast, brightness"),
        ("rotate=x", "'rotate=x': expected rotate=NUMBER above 0, 180 at most"),
        ("rotate=", "'rotate=': expected rotate=NUMBER above 0, 180 at most"),
        ("rotate=nan", "'rotate=nan': expected rotate=NUMBER above 0, 180 at most"),
        ("zoom=1.5", "'zoom=1.5': expected zoom=NUMBER above 0, 1 at most"),
        ("shift=-1", "'shift=-1': expected shift=NUMBER above 0, 1 at most"),
    ],
)
def test_an_augmentation_that_is_none_is_refused(kind, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Augmentation(["flip", kind])


def test_contrast_spreads_levels_about_their_mean():
    image = np.array([[100, 120], [140, 160]], np.uint8)
    np.testing.assert_allclose(
        augmented(image, ["contrast"], contrast=1.0), [[94, 118], [142, 166]], rtol=1e-6
    )


def test_numbers_depend_on_seed_and_epoch_alone():
    numbers = draw_numbers(50, seed=1, epoch=2)
    np.testing.assert_array_equal(numbers, draw_numbers(50, seed=1, epoch=2))
    assert (numbers != draw_numbers(50, seed=1, epoch=3)).all()
    assert 0 <= numbers.min() < 0.1
    assert 0.9 < numbers.max() < 1


def test_a_contact_sheet_shows_what_augmentation_does(data, tmp_path):
    write_contact_sheet(tmp_path / "sheet.png", data[0][:3], ["rotate"], seed=0, variants=4)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (5 * (SIDE + 4), 3 * (SIDE + 4))
        np.testing.assert_array_equal(np.asarray(sheet)[2 : 2 + SIDE, 2 : 2 + SIDE], data[0][0])


# Going on ---------------------------------------------------------------------------------------

EVERYTHING = (
    "--size", "32", "--epochs", "5", "--batch-size", "4", "--accumulate", "2", "--jit", "off",
    "--schedule", "cosine", "--augment", "flip", "--augment", "rotate", "--keep", "best",
    "--deterministic", "--weight-decay", "0.01",
)  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(mura: Path, tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(
        own_process("train", "--data", mura, "--out", whole, *EVERYTHING),
        check=True, capture_output=True,
    )  # fmt: skip
    command = own_process("train", "--data", mura, "--out", killed, *EVERYTHING)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    for epoch in (2, 4):  # killed in the middle of the next one, twice
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
            for line in run.stdout:
                if line.startswith(f"Epoch {epoch} "):
                    run.send_signal(signal.SIGKILL)
        assert run.returncode == -signal.SIGKILL
        command = own_process("train", "--resume", killed)
    subprocess.run(command, check=True, capture_output=True)
    for one, other in zip(
        *(load_model(folder / "model.keras").get_weights() for folder in (whole, killed)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert (whole / "predictions.csv").read_bytes() == (killed / "predictions.csv").read_bytes()
    same = ["epoch", "loss", "tune_loss", "val_loss", "learning_rate"]
    pd.testing.assert_frame_equal(history(whole)[same], history(killed)[same])


def test_a_full_disk_leaves_the_last_checkpoint(data, tmp_path):
    recipe = Recipe(epochs=2)
    trained(data, tmp_path / "run", recipe)
    before = (tmp_path / "run" / "checkpoint.npz").read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(DataError, match="can't be written"):
            trained(data, tmp_path / "run", Recipe(epochs=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == before
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    trained(data, tmp_path / "run", Recipe(epochs=3))
    assert len(history(tmp_path / "run")) == 3


def test_a_checkpoint_of_something_else_is_refused(data, tmp_path):
    images, table = data
    folder = tmp_path / "run"
    trained(data, folder, Recipe(epochs=1))
    with pytest.raises(DataError, match="of a different network or recipe"):
        trained(data, folder, Recipe(epochs=2), build=conv4)
    changed = table.assign(label=1 - table["label"])
    with pytest.raises(DataError, match="belongs to different images: the data has changed"):
        trained((images, changed), folder, Recipe(epochs=2))
    (folder / "checkpoint.npz").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match="is not a checkpoint"):
        trained(data, folder, Recipe(epochs=2))


def test_resuming_with_other_settings_is_refused(mura: Path, tmp_path: Path):
    done = subprocess.run(
        own_process("--resume", tmp_path, "--epochs", "3"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "config.yaml: can't be read" in done.stderr
    (tmp_path / "config.yaml").write_text("epochs: 2\n")
    done = subprocess.run(
        own_process("--resume", tmp_path, "--epochs", "3"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--resume uses the run's own settings; leave out --epochs" in done.stderr
