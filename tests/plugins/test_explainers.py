"""Each explainer against a peer, a formula of its paper written out, or a network that is known."""

import weakref

import keras
import numpy as np
import pytest
from keras import layers
from known_networks import linear

from mura_core.imaging import PixelStatistics, Square
from mura_core.training import build_model
from mura_models.conv import conv4, conv4_gap
from mura_plugins import NotApplicable
from mura_plugins.manager import load_plugins, resolve
from mura_plugins.network import Network

SIDE = 32


def explain(name: str, network: Network, images: np.ndarray, toward: int = 1, seed: int = 0):
    record = load_plugins().explainer(name)
    return resolve(record.explain)(network, images, toward=toward, seed=seed)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(images) -> keras.Model:
    """conv4, whose normalisations have seen something and whose weights aren't as they began."""
    keras.utils.set_random_seed(2)
    model = conv4((SIDE, SIDE, 1))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
    labels = np.arange(6) % 2
    model.fit(images[..., None], labels, batch_size=6, epochs=30, verbose=0)
    return model


@pytest.fixture(scope="module")
def pooling(images) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = conv4_gap((64, 64, 1))
    model.layers[-1].set_weights([np.random.default_rng(1).normal(size=(32, 1)), np.float32([0.3])])
    return model


# Maps of features -------------------------------------------------------------------------------


def test_layercam_agrees_with_tf_keras_vis(trained, images):
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import BinaryScore

    network = Network(trained, "block3_relu")
    for toward in (1, -1):
        ours = explain("layercam", network, images, toward)
        peer = Layercam(trained, model_modifier=ReplaceToLinear(), clone=True)(
            BinaryScore(toward == 1),
            images[..., None],
            penultimate_layer="block3_relu",
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        assert ours.max() > 0
        np.testing.assert_allclose(ours, np.asarray(peer), atol=1e-6 * ours.max(), rtol=0)


def test_cam_is_the_logit_spread_over_the_image(pooling):
    images = np.random.default_rng(5).integers(0, 256, (3, 64, 64)).astype(np.float32)
    network = Network(pooling)
    assert network.layer == "block5_pool"
    features, _, logits = network.gradients(images)
    np.testing.assert_allclose(
        (features @ network.pooled_weights).mean(axis=(1, 2)) + 0.3, logits, rtol=1e-4
    )
    assert max(explain("cam", network, images, toward).max() for toward in (1, -1)) > 0
    for toward in (1, -1):
        cam = explain("cam", network, images, toward)
        for name in ("gradcam", "hirescam"):  # whose gradients are the weights over the places
            maps = explain(name, network, images, toward)
            np.testing.assert_allclose(maps * 4, cam, rtol=1e-5, atol=1e-6)


def test_cam_refuses_what_has_no_weights_of_features(trained, images):
    with pytest.raises(NotApplicable, match=r"global average pooling and one unit.*conv4-gap"):
        explain("cam", Network(trained), images)


def test_gradcam_plus_plus_is_the_papers_formula_written_out(trained, images):
    network = Network(trained, "block3_relu")
    features, gradients, _ = network.gradients(images[:2])
    for toward in (1, -1):
        expected = np.zeros(features.shape[:3])
        for image in range(2):
            for channel in range(features.shape[-1]):
                activation = features[image, ..., channel].astype(np.float64)
                slope = toward * gradients[image, ..., channel].astype(np.float64)
                weight = 0.0
                for place in np.ndindex(activation.shape):
                    divisor = 2 * slope[place] ** 2 + activation.sum() * slope[place] ** 3
                    if divisor:
                        weight += slope[place] ** 2 / divisor * max(slope[place], 0)
                expected[image] += weight * activation
        maps = explain("gradcam++", network, images[:2], toward)
        np.testing.assert_allclose(maps, np.maximum(expected, 0), rtol=1e-3, atol=1e-6)


def test_hirescam_marks_the_places_that_raised_the_logit():
    # Two features that are the image itself; one weight each for the left and the right half.
    weights = np.zeros((4, 4))
    weights[:, :2], weights[:, 2:] = 2.0, -1.0
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    network = Network(linear(weights))
    np.testing.assert_allclose(
        explain("hirescam", network, image)[0], np.maximum(weights * image[0], 0)
    )
    np.testing.assert_allclose(
        explain("hirescam", network, image, -1)[0], np.maximum(-weights * image[0], 0)
    )
    # Grad-CAM spreads the mean weight over both halves.
    np.testing.assert_allclose(explain("gradcam", network, image)[0], 0.5 * image[0])


def test_scorecam_weighs_features_by_what_is_seen_through_them():
    # One feature is the image, one its reverse; the logit is ten times the image's left half.
    inputs = keras.Input((8, 8, 1))
    both = layers.Conv2D(2, 1)
    features = layers.ReLU()(both(inputs))
    unit = layers.Dense(1, use_bias=False)
    model = keras.Model(inputs, unit(layers.Flatten()(features)))
    both.set_weights([np.float32([[[[1, -1]]]]), np.float32([0, 1])])
    weights = np.zeros((8, 8, 2), np.float32)
    weights[:, :4, 0] = 10
    unit.set_weights([weights.reshape(-1, 1)])
    image = np.zeros((1, 8, 8), np.float32)
    image[:, :, :4] = 1
    [found] = explain("scorecam", Network(model), image)
    # Through the first feature the logit is 320, through the second 0: softmax leaves the first.
    np.testing.assert_allclose(found, image[0], atol=1e-5)
    [against] = explain("scorecam", Network(model), image, toward=-1)
    np.testing.assert_allclose(against, 1 - image[0], atol=1e-5)


# Maps of pixels ---------------------------------------------------------------------------------


def test_integrated_gradients_sum_to_the_difference_from_the_mean_image(trained, images):
    statistics = PixelStatistics(images.mean(axis=0), images.std(axis=0), 6)
    model = build_model(lambda shape: trained, {}, statistics, Square(SIDE))
    network = Network(model)
    np.testing.assert_allclose(network.baseline, images.mean(axis=0), rtol=1e-6)
    maps = explain("integrated-gradients", network, images)
    differences = network.logits(images) - network.logits(network.baseline[None])
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), differences, rtol=0.05, atol=0.02)
    np.testing.assert_allclose(
        explain("integrated-gradients", network, images, toward=-1), -maps, rtol=1e-5
    )


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(28, 28))


def test_of_a_linear_network_methods_give_what_can_be_computed(weights):
    network = Network(linear(weights, bias=5.0))
    image = np.random.default_rng(8).integers(0, 256, (1, 28, 28)).astype(np.float32)
    np.testing.assert_allclose(
        explain("integrated-gradients", network, image)[0], weights * image[0], rtol=1e-4
    )
    np.testing.assert_allclose(
        explain("smoothgrad", network, image)[0], np.abs(weights), rtol=1e-5, atol=1e-6
    )
    # Places are 2 x 2 pixels, and squares 4 x 4, cut off at the borders.
    [occluded] = explain("occlusion", network, image)
    shares = np.pad(weights * image[0], 1)
    expected = [[shares[2 * y : 2 * y + 4, 2 * x : 2 * x + 4].sum() for x in range(14)]
                for y in range(14)]  # fmt: skip
    np.testing.assert_allclose(occluded, expected, rtol=1e-2, atol=0.05)


def test_rise_finds_the_part_that_counts_and_its_sign():
    weights = np.zeros((32, 32))
    weights[4:12, 20:28] = 1.0
    image = np.full((1, 32, 32), 10, np.float32)
    network = Network(linear(weights))
    [found] = explain("rise", network, image)
    inside, outside = found[5:11, 21:27].mean(), np.delete(found, slice(14, 32), axis=1).mean()
    assert inside > 10 * abs(outside)
    [against] = explain("rise", network, image, toward=-1)
    np.testing.assert_allclose(against, -found)
    [other] = explain("rise", network, image, seed=1)
    assert not np.array_equal(other, found)
    # A network that sees nothing is explained by nothing.
    nothing = explain("rise", Network(linear(0 * weights, bias=3.0)), image)
    np.testing.assert_allclose(nothing, 0, atol=1e-5)


@pytest.mark.parametrize(("name", "masks"), [("scorecam", 100), ("rise", 500)])
def test_masks_are_made_a_few_at_a_time(name, masks, monkeypatch):
    inputs = keras.Input((16, 16, 1))
    features = layers.Conv2D(100, 3, padding="same", activation="relu")(inputs)
    unit = layers.Dense(1, kernel_initializer="random_normal")
    network = Network(keras.Model(inputs, unit(layers.GlobalAveragePooling2D()(features))))
    made: list[weakref.ref] = []
    alive = []
    through = Network.logits_through

    def counted(some):
        for mask in some:
            own = mask.copy()
            made.append(weakref.ref(own))
            alive.append(sum(one() is not None for one in made))
            yield own

    monkeypatch.setattr(
        Network, "logits_through", lambda self, image, some: through(self, image, counted(some))
    )
    explain(name, network, np.random.default_rng(0).integers(0, 256, (2, 16, 16)))
    assert 0.9 * 2 * masks <= len(made) <= 2 * masks  # a feature may be the same all over
    assert max(alive) <= 40
