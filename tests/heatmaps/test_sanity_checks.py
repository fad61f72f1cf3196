"""What shows the network changes with it; what shows the image doesn't."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from mura_core.heatmaps.measures.measure import Case
from mura_core.heatmaps.measures.sanity_checks import (
    after_randomising,
    max_sensitivity,
    noisy_images,
    rank_correlation,
)
from mura_core.imaging import PixelStatistics, Square
from mura_core.training import build_model
from mura_models.conv import conv4
from mura_plugins.interpretation.gradcam import explain as gradcam
from mura_plugins.network import Network


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 100, (8, 48, 48), dtype=np.uint8)
    images[::2, 8:24, 20:36] += 100
    return images


@pytest.fixture(scope="module")
def trained(images) -> keras.Model:
    keras.utils.set_random_seed(2)
    statistics = PixelStatistics(np.full((48, 48), 60.0), np.full((48, 48), 60.0), 2)
    model = build_model(conv4, {}, statistics, Square(48))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(images[..., None], (np.arange(8) + 1) % 2, batch_size=8, epochs=20, verbose=0)
    return model


def test_similarity_is_a_rank_correlation():
    ramp = np.arange(6, dtype=np.float32).reshape(2, 3)
    pairs = [(ramp, ramp**3), (ramp, -ramp), (ramp, 0 * ramp), (0 * ramp, 0 * ramp)]
    firsts, seconds = (np.stack(some) for some in zip(*pairs, strict=True))
    np.testing.assert_allclose(similarity(firsts, seconds), [1, -1, np.nan, np.nan])


def test_weights_are_replaced_from_the_logit_down_and_are_back_in_the_end(trained, images):
    before = [weight.copy() for weight in trained.get_weights()]
    names = [weight.path for weight in trained.weights]
    changed: list[set[str]] = []
    logits = []

    def explain():
        now = trained.get_weights()
        changed.append({n for n, a, b in zip(names, before, now, strict=True) if (a != b).any()})
        logits.append(trained(images[..., None], training=False).numpy())
        return np.zeros((len(images), 2, 2), np.float32)

    shares = list(after_randomising(trained, explain, seed=0))
    for was, is_now in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(was, is_now)
    # One layer of twelve, a third, and so on; each stage keeps what the one before replaced.
    assert shares == pytest.approx([1 / 12, 4 / 12, 8 / 12, 1])
    assert all(earlier < later for earlier, later in pairwise(changed))
    assert len({name.rsplit("/", 1)[0] for name in changed[0]}) == 1
    assert all("logit" in name or "dense" in name for name in changed[0])
    assert not any("normalization/mean" in name for name in changed[-1])
    assert sum("conv" in name and "kernel" in name for name in changed[-1]) == 5
    # A network that became deaf would give other maps for no good reason.
    assert all(np.ptp(some) > 1e-3 for some in logits)


def test_weights_are_back_when_explaining_fails(trained):
    before = [weight.copy() for weight in trained.get_weights()]

    def failing():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        after_randomising(trained, failing, seed=0)
    for was, is_now in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(was, is_now)


def test_a_map_of_edges_stays_and_gradcam_does_not(trained, images):
    def edges():
        return np.abs(np.diff(images.astype(np.float32), axis=1))

    network = Network(trained)

    def marked():
        return gradcam(network, images, toward=1, seed=0)

    stays = similarity(edges(), after_randomising(trained, edges, seed=1)[1.0])
    changes = similarity(marked(), after_randomising(trained, marked, seed=1)[1.0])
    assert stays.min() == pytest.approx(1)
    assert changes.mean() < 0.5
    again = after_randomising(trained, marked, seed=1)[1.0]
    np.testing.assert_allclose(similarity(marked(), again), changes)


def similarity(maps, others) -> np.ndarray:
    return np.array([rank_correlation(one, other) for one, other in zip(maps, others, strict=True)])


def greatest_change(explain, images, maps, seed) -> np.ndarray:
    noisy = np.stack([explain(some) for some in noisy_images(images, seed)], axis=1)
    return np.array([
        max_sensitivity(Case(heat, image, others={"noisy": others}))
        for heat, image, others in zip(maps, images, noisy, strict=True)
    ])  # fmt: skip


def test_max_sensitivity():
    images = np.full((3, 10, 10), 100, np.uint8)

    def constant(some):
        return np.ones((len(some), 2, 2), np.float32)

    np.testing.assert_array_equal(greatest_change(constant, images, constant(images), seed=0), 0)

    def itself(some):
        return some.astype(np.float32)

    # Even noise of at most 5.1 levels on a hundred: its size is 5.1 / sqrt(3) at each pixel.
    found = greatest_change(itself, images, itself(images), seed=0)
    assert found == pytest.approx(5.1 / np.sqrt(3) / 100, rel=0.15)
    assert (found <= 0.051).all()
    # A map that was empty has no size to compare with.
    empty = greatest_change(constant, images, 0 * constant(images), seed=0)
    np.testing.assert_allclose(empty, 2)
