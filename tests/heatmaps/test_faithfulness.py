"""What a network uses is measured as used, and what it doesn't isn't."""

import numpy as np
import pytest
from heatmap_cases import faithfulness
from known_networks import linear

from mura_core.heatmaps.measures.faithfulness import unexplained_share
from mura_core.heatmaps.measures.occlusion import occlude
from mura_core.imaging import PixelStatistics, Square
from mura_core.training import build_model
from mura_plugins.network import Network

SIDE = 20


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    image = np.random.default_rng(0).integers(50, 100, (SIDE, SIDE), dtype=np.uint8)
    image[3:9, 10:16] += 100  # what is there stands out from what lies around it
    return image


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    weights = np.zeros((SIDE, SIDE))
    weights[3:9, 10:16] = 0.01
    return weights


def measured(network: Network, image: np.ndarray, heat: np.ndarray) -> dict[str, float]:
    return faithfulness(network, image, heat.astype(np.float32), seed=1)


def test_curves_of_a_linear_network_worked_out(image):
    weights = np.random.default_rng(1).normal(size=(SIDE, SIDE))
    heat = weights * image  # what each pixel adds to the logit, without ties
    found = measured(Network(linear(weights, bias=0.5)), image, heat)
    # Twenty pixels a step, the greatest additions first; black hides them.
    steps = np.sort(heat.ravel())[::-1].reshape(20, 20).sum(axis=1)
    shown = 0.5 + np.concatenate([[0], np.cumsum(steps)])
    hidden = 0.5 + steps.sum() - np.concatenate([[0], np.cumsum(steps)])
    for name, curve in (("insertion", shown), ("deletion", hidden)):
        expected = (curve.sum() - (curve[0] + curve[-1]) / 2) / 20
        assert found[name] == pytest.approx(expected, rel=1e-3), name
    # The heat of a square is what hiding it takes from the logit.
    assert found["infidelity"] == pytest.approx(0, abs=1e-6)


def test_a_perfect_map_is_best_and_one_of_something_else_is_worst(image, patch):
    network = Network(linear(patch))
    random = np.random.default_rng(2).random((SIDE, SIDE))
    elsewhere = np.roll(patch, 10, axis=(0, 1))
    perfect, chance, wrong = (measured(network, image, heat) for heat in (patch, random, elsewhere))
    assert perfect["deletion"] < chance["deletion"] < wrong["deletion"] + 0.1
    assert perfect["insertion"] > chance["insertion"] > wrong["insertion"] - 0.1
    assert perfect["road"] > 5 * abs(chance["road"])
    assert wrong["road"] < perfect["road"] / 5
    assert perfect["infidelity"] < 0.1 < chance["infidelity"]
    assert chance["infidelity"] < wrong["infidelity"]


def test_pixels_that_tie_take_turns_at_random(image, patch):
    network = Network(linear(patch))
    # A map that says nothing hides in random order: on average the curve is a straight line.
    logit = float(network.logits(image[None])[0])
    empty = [
        faithfulness(network, image, np.zeros((SIDE, SIDE), np.float32), seed) for seed in range(30)
    ]
    assert np.mean([one["deletion"] for one in empty]) == pytest.approx(logit / 2, rel=0.05)
    assert np.mean([one["insertion"] for one in empty]) == pytest.approx(logit / 2, rel=0.05)
    assert np.mean([one["road"] for one in empty]) == pytest.approx(0, abs=0.1 * logit)
    # By their order in memory, what lies in the upper half would go first.
    lower = Network(linear(patch[::-1]))
    for heat in (np.zeros((SIDE, SIDE)), np.eye(SIDE)):
        above, below = (
            np.mean([
                faithfulness(one, picture, some.astype(np.float32), seed)["deletion"]
                for seed in range(30)
            ])
            for one, picture, some in ((network, image, heat), (lower, image[::-1], heat[::-1]))
        )  # fmt: skip
        assert above == pytest.approx(below, rel=0.1)


def test_coarse_maps_are_enlarged(image, patch):
    network = Network(linear(patch))
    coarse = patch.reshape(10, 2, 10, 2).mean(axis=(1, 3))
    random = np.random.default_rng(0).random((10, 10))
    perfect, chance = (measured(network, image, heat) for heat in (coarse, random))
    assert perfect["deletion"] < chance["deletion"]
    assert perfect["infidelity"] < chance["infidelity"]


def test_infidelity():
    falls = np.array([1.0, -2.0, 0.5])
    assert unexplained_share(3 * falls, falls) == pytest.approx(0)
    # A map that foretells the opposite isn't right because a negative scale would suit it.
    assert unexplained_share(-falls, falls) == 1
    assert unexplained_share(np.zeros(3), falls) == 1
    assert unexplained_share(falls, np.zeros(3)) == 1
    assert unexplained_share(np.zeros(3), np.zeros(3)) == 0
    # Half of the variance: cos² of 45 degrees.
    assert unexplained_share(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(0.5)


def test_what_is_hidden_shows_the_mean_training_image(image, patch):
    statistics = PixelStatistics(np.full((SIDE, SIDE), 120.0), np.ones((SIDE, SIDE)), 2)
    model = build_model(lambda shape: linear(patch), {}, statistics, Square(SIDE))
    found = occlude(Network(model), image, seed=0)
    assert found.baseline_logit == pytest.approx(0, abs=1e-4)
    assert found.logit == pytest.approx(float((patch * (image - 120.0)).sum()), rel=1e-3)
