"""Heatmaps: agreement with a peer, the networks they reach, and how they are drawn."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from data_sets import write_image
from keras import layers
from PIL import Image

from mura_core.evaluation import OperatingPoint
from mura_core.heatmaps import choose, evidence, write_heatmaps
from mura_core.heatmaps.drawing import draw, draw_as_in_2019
from mura_core.heatmaps.files import common_scale
from mura_core.imaging import PixelStatistics, Square, resize
from mura_core.training import build_model
from mura_models.conv import conv4
from mura_plugins import Explainer, NotApplicable
from mura_plugins.interpretation.gradcam import explain as gradcam
from mura_plugins.interpretation.integrated_gradients import explain as integrated_gradients
from mura_plugins.network import Network


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone(images) -> keras.Model:
    """conv4, trained a little: untrained, all normalisations are the identity."""
    keras.utils.set_random_seed(2)
    model = conv4((64, 64, 1))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    labels = (images[:, :32].mean(axis=(1, 2)) > 127).astype(np.float32)
    model.fit(images[..., None] / 128.0 - 1, labels, batch_size=8, epochs=5, verbose=0)
    return model


def test_gradcam_agrees_with_tf_keras_vis(backbone, images):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import BinaryScore

    pixels = (images / 128.0 - 1).astype(np.float32)
    for toward in (1, -1):
        ours = gradcam(Network(backbone), pixels, toward=toward, seed=0)
        peer = Gradcam(backbone, model_modifier=ReplaceToLinear(), clone=True)(
            BinaryScore(toward == 1),
            pixels[..., None],
            penultimate_layer="block5_relu",
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        assert ours.max() > 0
        np.testing.assert_allclose(ours, np.asarray(peer), atol=1e-6 * ours.max(), rtol=0)


def test_gradcam_of_a_network_worked_by_hand():
    # One convolution that copies its input, a mean over 2 x 2 pixels and a weight of 3: the
    # gradient is 3/4 at each pixel, so the map is 3/4 of the image.
    inputs = keras.Input((2, 2, 1))
    features = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(inputs)
    pooled = layers.GlobalAveragePooling2D()(features)
    logit = layers.Dense(1, kernel_initializer=keras.initializers.Constant(3.0))(pooled)
    network = Network(keras.Model(inputs, logit))
    image = np.array([[[4, 8], [0, 12]]], np.uint8)
    np.testing.assert_allclose(gradcam(network, image, toward=1, seed=0), 0.75 * image)
    np.testing.assert_array_equal(gradcam(network, image, toward=-1, seed=0), 0 * image)


def test_a_sure_network_still_has_a_map(backbone, images):
    # The probability is 1 in float32, and its gradient 0; the logit's isn't.
    sure = keras.Model(backbone.input, backbone.output + 100.0)
    pixels = images[:4] / 128.0 - 1
    assert (tf.sigmoid(sure(pixels[..., None])) == 1).numpy().all()
    np.testing.assert_allclose(
        gradcam(Network(sure), pixels, toward=1, seed=0),
        gradcam(Network(backbone), pixels, toward=1, seed=0),
        rtol=1e-4,
        atol=1e-7,
    )


def test_a_batch_is_its_images_one_by_one_and_batches_do_not_matter(backbone, images):
    network = Network(backbone)
    together = evidence(gradcam, {0: network}, images, toward=1, seed=0)
    singly = [gradcam(network, image[None], toward=1, seed=0)[0] for image in images]
    np.testing.assert_allclose(together, singly, rtol=1e-4, atol=1e-6)


class Subclassed(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs, training=False):
        return self.inner(inputs, training=training)


def test_nested_frozen_sequential_subclassed_and_reloaded_networks_give_the_same(
    backbone, images, tmp_path
):
    expected = gradcam(Network(backbone), images[:4], toward=1, seed=0)
    statistics = PixelStatistics(np.zeros((64, 64)), np.ones((64, 64)), 2)
    nested = build_model(lambda shape: backbone, {}, statistics, Square(64))
    nested.save(tmp_path / "model.keras")
    frozen = keras.models.clone_model(backbone)
    frozen.set_weights(backbone.get_weights())
    frozen.trainable = False
    variants = {
        "nested": nested,
        "reloaded": keras.saving.load_model(tmp_path / "model.keras"),
        "frozen": frozen,
        "sequential": keras.Sequential([keras.Input((64, 64, 1)), backbone]),
        "subclassed": Subclassed(backbone),
    }
    for name, model in variants.items():
        network = Network(model)
        assert network.layer == "block5_relu", name
        maps = gradcam(network, images[:4], toward=1, seed=0)
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_network_of_mixed_precision_has_the_same_maps_but_for_rounding(backbone, images, policy):
    keras.config.set_dtype_policy(policy)
    try:
        mixed = conv4((64, 64, 1))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(backbone.get_weights())
    assert mixed.get_layer("block5_relu").compute_dtype == policy.removeprefix("mixed_")
    pixels = (images[:4] / 128.0 - 1).astype(np.float32)
    for method in (gradcam, integrated_gradients):
        expected = method(Network(backbone), pixels, toward=1, seed=0)
        maps = method(Network(mixed), pixels, toward=1, seed=0)
        assert maps.dtype == np.float32
        assert np.corrcoef(maps.ravel(), expected.ravel())[0, 1] > 0.9


MIRRORED = """
import sys
import keras, numpy as np, tensorflow as tf
from mura_models.conv import conv4
from mura_plugins.interpretation.gradcam import explain
from mura_plugins.network import Network
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = conv4((64, 64, 1))
    model.load_weights(sys.argv[1])
    # A step, so that the weights are those of two replicas.
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
images = np.load(sys.argv[2])
model.fit(images[..., None], np.zeros(len(images)), batch_size=4, verbose=0, shuffle=False)
model.load_weights(sys.argv[1])
assert len(model.weights[0].value.values) == 2
np.save(sys.argv[3], explain(Network(model), images, toward=1, seed=0))
"""


def test_a_network_of_two_devices_has_the_same_maps(backbone, images, tmp_path):
    # In a process of its own: devices are divided before TensorFlow starts, or not at all.
    weights, pixels, maps = (
        tmp_path / name for name in ("of.weights.h5", "images.npy", "maps.npy")
    )
    backbone.save_weights(weights)
    np.save(pixels, (images[:4] / 128.0 - 1).astype(np.float32))
    command = [sys.executable, "-c", MIRRORED, *map(str, (weights, pixels, maps))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = gradcam(Network(backbone), np.load(pixels), toward=1, seed=0)
    np.testing.assert_allclose(np.load(maps), expected, rtol=1e-4, atol=1e-6)


def test_of_a_layer_that_is_applied_twice_the_last_time_is_looked_at():
    inputs = keras.Input((2, 2, 1))
    doubling = layers.Conv2D(
        1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(2.0)
    )
    pooled = layers.GlobalAveragePooling2D()(doubling(doubling(inputs)))
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(pooled))
    image = np.array([[[1, 2], [0, 3]]], np.uint8)
    features, gradients, logits = Network(model).gradients(image)
    np.testing.assert_array_equal(features[..., 0], 4 * image)
    np.testing.assert_array_equal(gradients, np.full((1, 2, 2, 1), 0.25))
    np.testing.assert_array_equal(logits, [6])


def test_the_layer_can_be_named_and_a_network_without_one_is_refused(backbone):
    assert Network(backbone, "block4_conv").layer == "block4_conv"
    with pytest.raises(NotApplicable, match=r"no layer 'block9'\. It has .*block5_relu"):
        Network(backbone, "block9")
    inputs = keras.Input((4, 4, 1))
    dense = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(inputs)))
    network = Network(dense)
    assert network.logits(np.zeros((2, 4, 4), np.uint8)).shape == (2,)
    assert network.looked_at is None
    with pytest.raises(NotApplicable, match="no convolution"):
        network.gradients(np.zeros((2, 4, 4), np.uint8))


def test_an_empty_map_tints_nothing_and_divides_by_nothing():
    radiograph = np.arange(48, dtype=np.uint8).reshape(6, 8)
    empty = np.zeros((3, 3), np.float32)
    grey = np.repeat(radiograph[..., None], 3, axis=2)
    np.testing.assert_array_equal(draw(radiograph, empty, scale=0.0).overlay, grey)
    np.testing.assert_array_equal(draw(radiograph, empty, scale=2.0).overlay, grey)
    assert common_scale(np.zeros((2, 3, 3), np.float32)) == 0
    # The report's half jet turns it blue all over.
    assert (draw_as_in_2019(radiograph, empty).overlay[..., 2] > grey[..., 2]).all()


def test_one_scale_keeps_weak_maps_weak():
    radiograph = np.full((8, 8), 100, np.uint8)
    maps = np.stack([np.full((4, 4), 0.01, np.float32), np.full((4, 4), 1.0, np.float32)])
    scale = common_scale(maps)
    weak, strong = (draw(radiograph, one, scale).overlay.astype(int) for one in maps)
    assert abs(weak - 100).max() <= 2
    assert abs(strong - 100).max() > 50


def test_evidence_against_is_drawn_blue_and_evidence_for_red():
    radiograph = np.full((40, 40), 100, np.uint8)
    signed = np.zeros((4, 4), np.float32)
    signed[0, 0], signed[3, 3] = 2.0, -2.0
    overlay = draw(radiograph, signed, scale=2.0, signed=True).overlay.astype(int)
    red, blue = overlay[2, 2], overlay[37, 37]
    assert red[0] > red[2] + 20
    assert blue[2] > blue[0] + 20
    np.testing.assert_array_equal(overlay[20, 20], 100)
    # An unsigned drawing shows nothing of what speaks against.
    np.testing.assert_array_equal(draw(radiograph, signed, scale=2.0).overlay[37, 37], 100)
    assert common_scale(-np.ones((1, 2, 2), np.float32)) == 1


def test_a_map_lies_where_its_evidence_is():
    radiograph = np.zeros((60, 90), np.uint16)
    corner = np.zeros((6, 6), np.float32)
    corner[0, 5] = 1
    brightness = draw(radiograph, corner, scale=1.0).overlay.sum(axis=2)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    assert row < 10
    assert column >= 75
    assert brightness[30:, :45].max() == 0


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
def test_a_map_lies_where_the_network_saw_its_evidence(fit, shape):
    # The evidence is where a bright spot of the radiograph is in the square.
    radiograph = np.zeros(shape, np.uint8)
    radiograph[20:26, 24:30] = 255
    square = resize(radiograph, Square(48, fit=fit)).astype(np.float32)
    heat = draw(np.zeros(shape, np.uint8), square, scale=255.0, fit=fit).overlay.sum(axis=2)
    rows, columns = np.indices(shape)
    assert abs((rows * heat).sum() / heat.sum() - 22.5) < 0.5
    assert abs((columns * heat).sum() / heat.sum() - 26.5) < 0.5


def predictions(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["path", "body_part", "label", "logit"])
    return table.assign(probability=1 / (1 + np.exp(-table["logit"])))


def test_the_sample_takes_turns_between_parts_and_outcomes_surest_first():
    table = predictions(
        [
            ("a", "HAND", 1, 5.0),
            ("b", "HAND", 1, 4.0),
            ("c", "HAND", 0, 3.0),
            ("d", "WRIST", 0, -2.0),
            ("e", "HAND", 1, -1.0),
        ]
    )
    table, at_half = table.assign(fold=0), {("image", 0): OperatingPoint(0.5)}
    assert choose(table, at_half, 4)["path"].tolist() == ["a", "c", "d", "e"]
    assert choose(table, at_half, 99)["path"].tolist() == ["a", "c", "d", "e", "b"]


LONG = "/".join(["é" * 60] * 4)  # 480 bytes


@pytest.mark.parametrize(
    "paths",
    [
        ("a/hand.png", "a-hand.png", "a/hand.jpg", "A/hand.png", "a#hand.png", "a hand.png"),
        (f"{LONG}/image1.png", f"{LONG}/image2.png", f"other/{LONG}/image1.png"),
    ],
)
def test_heatmaps_of_different_images_have_different_short_names(tmp_path, paths):
    for number, path in enumerate(paths):
        write_image(tmp_path / path, np.full((4, 4), number, np.uint8))
    sample = predictions([(path, "HAND", 1, 5.0) for path in paths])
    table = write_heatmaps(
        tmp_path / "run",
        Explainer("gradcam", "", "", ""),
        "relu",
        tmp_path,
        sample,
        np.arange(len(paths), dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32),
        style="inferno",
        fit="stretch",
        readers={},
    )
    files = list((tmp_path / "run" / "heatmaps" / "gradcam").iterdir())
    assert len({file.name.lower() for file in files}) == 4 * len(paths)
    assert max(len(file.name.encode()) for file in files) < 200
    for number, row in enumerate(table.to_dict("records")):
        assert np.load(tmp_path / "run" / row["map"])[0, 0] == number
        about = json.loads((tmp_path / "run" / row["map"]).with_suffix(".json").read_text())
        assert about["path"] == paths[number]
        assert Path(paths[number]).stem.replace("#", "-").replace(" ", "-") in row["overlay"]


@pytest.mark.parametrize("style", ["inferno", "report2019"])
def test_pictures_have_the_radiographs_own_size(tmp_path, style):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70), dtype=np.uint8)
    write_image(tmp_path / "data" / "a" / "image1.png", pixels)
    sample = predictions([("a/image1.png", "HAND", 1, 5.0)])
    maps = np.ones((1, 4, 4), np.float32)
    table = write_heatmaps(
        tmp_path / "run",
        Explainer("gradcam", "", "", ""),
        "relu",
        tmp_path / "data",
        sample,
        maps,
        style=style,
        fit="stretch",
        readers={},
    )
    row = table.iloc[0]
    assert row["layer"] == "relu"
    assert not row["empty"]
    for kind in ("heatmap", "overlay"):
        with Image.open(tmp_path / "run" / row[kind]) as picture:
            assert (picture.size, picture.mode) == ((70, 50), "RGB")
    np.testing.assert_array_equal(np.load(tmp_path / "run" / row["map"]), maps[0])
    about = json.loads((tmp_path / "run" / row["map"]).with_suffix(".json").read_text())
    assert about["path"] == "a/image1.png"
    assert (about["layer"], about["logit"], about["toward"]) == ("relu", 5.0, "abnormal")
    assert about["versions"]["keras"] == keras.__version__
