"""The built-in architectures: the contract for each, and their published weights."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from scipy.ndimage import uniform_filter

import mura_models
from mura_core.data import prepare
from mura_core.imaging import Square
from mura_core.inference import load_model, predict_logits
from mura_core.pipeline import cache_folder, open_data
from mura_models import applications
from mura_models.efficientnet_lite import efficientnet_lite
from mura_models.resnet import residual_network
from mura_plugins import PluginError
from mura_plugins.manager import load_plugins, parse_options, resolve
from mura_plugins.testing import check_architecture

RECORDS = {record.name: record for record in mura_models.mura_architectures()}

# Keras' own networks, each of which takes a minute or more to trace.
LARGE = {"resnet50": "ResNet50", "densenet121": "DenseNet121", "densenet169": "DenseNet169"}
MEMBERS = {"keras:*": "keras:MobileNet"}
OPTIONS = {"densenet-small": {"blocks": (1, 1, 1, 1)}}
# One network of each family is trained and checked in every run of the tests, the others with all
# of them: they differ in their numbers of blocks and filters.
CONTRACT = {
    "dense": {},
    "conv4-gap": {},
    "resnet18": {"width": 0.25},
    "densenet-small": OPTIONS["densenet-small"],
    "efficientnet-lite0": {},
    "keras:*": {},
}
CHECKED = [
    *(pytest.param(name, options, marks=pytest.mark.slow) for name, options in CONTRACT.items()),
    *(
        pytest.param(name, OPTIONS.get(name, {}), marks=pytest.mark.exhaustive)
        for name in RECORDS
        if CONTRACT.get(name) != OPTIONS.get(name, {})
    ),
]
TRAINED = [
    pytest.param(
        name, marks=pytest.mark.slow if name == "densenet-small" else pytest.mark.exhaustive
    )
    for name in RECORDS
]


@pytest.mark.parametrize(("name", "options"), CHECKED)
def test_an_architecture_keeps_the_contract(name, options):
    sizes = (64, 96) if name == "conv3" else (32, 48)
    record = load_plugins().architecture(MEMBERS.get(name, name))
    check_architecture(record, sizes=sizes, options=options)


@pytest.mark.parametrize("name", RECORDS)
def test_the_logit_is_float32_in_mixed_precision(name):
    record = load_plugins().architecture(MEMBERS.get(name, name))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = resolve(record.build)((64, 64, 1), **OPTIONS.get(name, {}))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(model.outputs[0].dtype) == "float32"
    assert keras.backend.standardize_dtype(model.layers[-1].input.dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("conv2", 16), ("conv3", 64), ("conv4", 32), ("conv4-gap", 32), ("vgg-like", 32),
        ("resnet50", 32), ("densenet121", 32), ("densenet-small", 32),
        ("efficientnet-lite0", 32),
    ],
)  # fmt: skip
def test_the_smallest_images_are_said(name, side):
    build = resolve(RECORDS[name].build)
    with pytest.raises(PluginError, match=f"{name} takes images of at least {side} x {side} pix"):
        build((side, side - 1, 1))
    assert build((side, side + 1, 1)).output_shape == (None, 1)


def test_blocks_that_make_no_densenet_are_refused():
    with pytest.raises(PluginError, match="blocks=6,12: a DenseNet has four blocks"):
        resolve(RECORDS["densenet-small"].build)((32, 32, 1), blocks=(6, 12))


def weights(name: str, side: int, **options) -> int:
    return resolve(RECORDS[name].build)((side, side, 1), **options).count_params()


@pytest.mark.parametrize(
    ("name", "side", "count"),
    [
        # Counted by hand: inputs times outputs plus outputs, of each layer.
        ("dense", 224, 224 * 224 * 512 + 512 + 512 * 64 + 64 + 64 * 32 + 32 + 32 + 1),
        ("conv2", 224, (9 * 4 + 4) + (36 * 8 + 8) + (14 * 14 * 8 * 64 + 64) + 65),
        (
            "conv3", 224,
            (9 * 2 + 2) + (18 * 2 + 2) + (50 * 4 + 4) + (100 * 4 + 4) + (196 * 8 + 8)
            + (3 * 3 * 8 * 64 + 64) + 65,
        ),
        (
            "conv4", 224,
            sum(9 * a * b + b + 4 * b for a, b in ((1, 2), (2, 4), (4, 8), (8, 16), (16, 32)))
            + (7 * 7 * 32 * 64 + 64) + 65,
        ),
        (
            "conv4-gap", 224,
            sum(9 * a * b + b + 4 * b for a, b in ((1, 2), (2, 4), (4, 8), (8, 16), (16, 32))) + 33,
        ),
        ("vgg-like", 512, None),
    ],
)  # fmt: skip
def test_weights_are_those_of_the_report(name, side, count):
    if name == "vgg-like":
        filters = (1, 8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64)
        count = sum(9 * a * b + b for a, b in pairwise(filters))
        count += 16 * 16 * 64 * 512 + 512 + 512 * 512 + 512 + 513
    assert weights(name, side) == count


@pytest.mark.parametrize(
    ("blocks", "count"), [((2, 2, 2, 2), 11_689_512), ((3, 4, 6, 3), 21_797_672)]
)
def test_residual_networks_have_the_published_weights(blocks, count):
    # torchvision's, of resnet18 and resnet34 on ImageNet. The running statistics, which it
    # doesn't count, are not trained.
    model = residual_network((64, 64, 3), blocks, outputs=1000)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count


@pytest.mark.parametrize(
    ("variant", "count"), [("lite0", 4_652_008), ("lite1", 5_416_680), ("lite2", 6_092_072)]
)
def test_efficientnet_lite_has_the_published_weights(variant, count):
    # 4.7, 5.4 and 6.1 million in TensorFlow's table; exactly these in the packages' files.
    model = efficientnet_lite((64, 64, 3), variant, outputs=1000)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count


@pytest.mark.parametrize(("name", "peer"), LARGE.items())
def test_networks_of_keras_blocks_have_kerass_weights(name, peer):
    three = getattr(keras.applications, peer)(weights=None, include_top=False).count_params()
    features = {"ResNet50": 2048, "DenseNet121": 1024, "DenseNet169": 1664}[peer]
    # Two of three colours are missing from the first convolution, 7 x 7 of 64 filters.
    assert weights(name, 64) == three - 2 * 49 * 64 + features + 1
    model = resolve(RECORDS[name].build)((64, 64, 1))
    logits = model(np.zeros((2, 64, 64, 1), np.float32))
    assert logits.shape == (2, 1)
    assert logits.dtype == "float32"


# An independent residual network, by NumPy alone -------------------------------------------------


def convolve(images: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nyxcij,ijco->nyxo", windows[:, ::stride, ::stride], kernel)


class NumPyNetwork:
    """torchvision's basic blocks, with a Keras model's weights taken by their names."""

    def __init__(self, model: keras.Model, blocks: tuple[int, ...]) -> None:
        self._weights = {weight.path: np.asarray(weight, np.float64) for weight in model.weights}
        self._blocks = blocks

    def _normalised(self, x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            self._weights[f"{name}_norm/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def _convolved(self, x: np.ndarray, name: str, stride: int, padding: int) -> np.ndarray:
        kernel = self._weights[f"{name}_conv/kernel"]
        return self._normalised(convolve(x, kernel, stride, padding), name)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = np.maximum(self._convolved(x, "stem", 2, 3), 0)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = windows[:, ::2, ::2].max(axis=(-2, -1))
        for stage, count in enumerate(self._blocks, start=1):
            for block in range(1, count + 1):
                name = f"stage{stage}_block{block}"
                stride = 2 if stage > 1 and block == 1 else 1
                y = np.maximum(self._convolved(x, f"{name}_1", stride, 1), 0)
                y = self._convolved(y, f"{name}_2", 1, 1)
                if f"{name}_shortcut_conv/kernel" in self._weights:
                    x = self._convolved(x, f"{name}_shortcut", stride, 0)
                x = np.maximum(x + y, 0)
        kernel, bias = self._weights["logit/kernel"], self._weights["logit/bias"]
        return x.mean(axis=(1, 2)) @ kernel + bias


def test_residual_blocks_are_those_of_an_independent_implementation():
    blocks = (2, 2, 2, 2)
    keras.utils.set_random_seed(3)
    model = residual_network((45, 39, 1), blocks)  # odd sides: padding shows
    random = np.random.default_rng(3)
    for weight in model.weights:
        if "norm" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    images = random.normal(size=(3, 45, 39, 1))
    ours = model(images.astype(np.float32)).numpy()
    np.testing.assert_allclose(ours, NumPyNetwork(model, blocks)(images), rtol=1e-4)


def test_local_contrast_is_a_second_channel_of_residual_networks(tmp_path):
    # At 40 pixels the window, an eighth of the side, is 5 pixels, and the grid every pixel.
    random = np.random.default_rng(5)
    images = random.normal(size=(2, 40, 40, 1)).astype(np.float32)
    images[:, :20] *= 0.1  # low contrast
    counted = uniform_filter(np.ones((40, 40)), 5, mode="constant")

    def mean_around(image: np.ndarray) -> np.ndarray:
        return uniform_filter(image, 5, mode="constant") / counted  # of pixels in the image

    expected = []
    for image in images[..., 0].astype(np.float64):
        difference = image - mean_around(image)
        expected.append(difference / np.sqrt(mean_around(difference**2) + 0.2**2))
    model = residual_network((40, 40, 1), (1, 1, 1, 1), width=0.1, local_contrast=True)
    stem = keras.Model(model.inputs, model.get_layer("local_channels").output)
    stem.save(tmp_path / "stem.keras")
    channels = keras.saving.load_model(tmp_path / "stem.keras", safe_mode=True)(images)
    np.testing.assert_array_equal(channels[..., 0], images[..., 0])
    np.testing.assert_allclose(channels[..., 1], expected, rtol=0, atol=1e-4)


# The family of keras.applications ---------------------------------------------------------------


def test_the_family_names_what_keras_has():
    there = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(applications.BACKBONES) == there


def test_a_member_is_found_by_its_name_and_an_unknown_one_refused():
    plugins = load_plugins()
    record = plugins.architecture("keras:MobileNetV2")
    assert record.name == "keras:MobileNetV2"
    assert parse_options(resolve(record.build), ("weights=imagenet",)) == {"weights": "imagenet"}
    with pytest.raises(PluginError, match="'MobileNetV9' is not one of ConvNeXtBase"):
        resolve(plugins.architecture("keras:MobileNetV9").build)


def test_a_member_is_found_without_keras():
    program = (
        "import sys\nfrom mura_plugins.manager import load_plugins, parse_options, resolve\n"
        "build = resolve(load_plugins().architecture('keras:VGG16').build)\n"
        "parse_options(build, ('dropout=0.5',))\nassert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_exact_name_wins_over_a_family():
    plugins = load_plugins()
    [family] = [offer for offer in plugins.architectures if offer.record.name == "keras:*"]
    for name, build in (("keras:Own", "their:net"), ("keras:O*", "their:own_*")):
        record = replace(family.record, name=name, build=build)
        plugins.architectures.append(replace(family, record=record))
    assert plugins.architecture("keras:Own").build == "their:net"
    assert plugins.architecture("keras:Other").build == "their:own_ther"
    assert plugins.architecture("keras:VGG16").build == "mura_models.applications:VGG16"


@pytest.mark.parametrize(
    ("name", "preprocess"),
    [
        ("DenseNet121", keras.applications.densenet.preprocess_input),
        ("ResNet50", keras.applications.resnet.preprocess_input),
        ("VGG16", keras.applications.vgg16.preprocess_input),
        ("ResNet50V2", keras.applications.resnet_v2.preprocess_input),
        ("MobileNetV2", keras.applications.mobilenet_v2.preprocess_input),
        ("MobileNetV3Small", keras.applications.mobilenet_v3.preprocess_input),
        ("EfficientNetV2B0", keras.applications.efficientnet_v2.preprocess_input),
        ("ConvNeXtTiny", keras.applications.convnext.preprocess_input),
    ],
)
def test_grey_is_at_the_scale_that_imagenets_weights_expect(name, preprocess):
    # What Keras makes of ImageNet's mean grey, and of a grey one deviation lighter.
    mean, deviation = applications.IMAGENET_MEAN, applications.IMAGENET_DEVIATION
    levels = np.float32([mean, mean + deviation])[:, None, None, None] * np.ones((1, 2, 2, 3))
    expected = np.asarray(preprocess(levels.astype(np.float32).copy())).mean(axis=(1, 2, 3))
    mode = next(mode for of, mode in applications._MODES.items() if name.startswith(of))
    scale, offset = applications._SCALES[mode]
    span = abs(expected[1] - expected[0])
    np.testing.assert_allclose([offset, offset + scale], expected, atol=0.05 * span)


def test_weights_come_from_a_file_or_one_line_says_why_not(tmp_path):
    build = resolve("mura_models.applications:MobileNetV2")
    keras.utils.set_random_seed(1)
    donor = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    donor.save_weights(tmp_path / "donor.weights.h5")
    donor.save(tmp_path / "donor.keras")
    donor.save(tmp_path / "donor.h5")
    for name in ("donor.weights.h5", "donor.keras", "donor.h5"):
        taken = build((32, 32, 1), weights=str(tmp_path / name)).layers[-2]
        for one, other in zip(donor.get_weights(), taken.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        with pytest.raises(PluginError, match=f"{name} has no weights of VGG16") as caught:
            resolve("mura_models.applications:VGG16")((32, 32, 1), weights=str(tmp_path / name))
        assert "\n" not in str(caught.value)
    (tmp_path / "notes.weights.h5").write_text("no weights")
    with pytest.raises(PluginError, match=r"notes\.weights\.h5 has no weights of MobileNetV2"):
        build((32, 32, 1), weights=str(tmp_path / "notes.weights.h5"))
    with pytest.raises(PluginError, match="is neither none, imagenet nor a file"):
        build((32, 32, 1), weights="gone.h5")


def test_images_too_small_for_a_member_are_one_line():
    with pytest.raises(
        PluginError, match=r"^InceptionV3: Input size must be at least 75x75[^\n]*$"
    ):
        resolve("mura_models.applications:InceptionV3")((64, 64, 1))


def test_a_download_that_cannot_happen_is_one_line(monkeypatch, tmp_path):
    def unreachable(*arguments, **options):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # nothing is there
    monkeypatch.setattr("socket.create_connection", unreachable)
    with pytest.raises(PluginError, match=r"MobileNetV2 can't be downloaded .*fetch") as caught:
        resolve("mura_models.applications:MobileNetV2")((96, 96, 1), weights="imagenet")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_an_architecture_trains_for_an_epoch_on_the_phantoms(name, tmp_path):
    out = tmp_path / "run"
    command = [
        "train", "--model", MEMBERS.get(name, name), "--body-part", "hand", "--size", "64",
        "--epochs", "1", "--batch-size", "16", "--jit", "off", "--out", str(out),
    ]  # fmt: skip
    result = mura_run(*command)
    assert result.exit_code == 0, result.output
    history = pd.read_csv(out / "history.csv")
    assert np.isfinite(history[["loss", "val_loss"]]).all(axis=None)
    # The saved file is the trained network, whole.
    predictions = pd.read_csv(out / "predictions.csv")
    model = load_model(out / "model.keras")
    prepared = prepare(open_data("phantoms", ["hand"], seed=2019), cache_folder(), Square(64))
    rows = np.flatnonzero(prepared.table["split"] == "valid")
    np.testing.assert_allclose(
        predict_logits(model, prepared.images, rows), predictions["logit"], rtol=1e-4, atol=1e-4
    )
