"""Maps and measures, held against what captum and Quantus say of the same network and images.

Their numbers are in `peers/captum_and_quantus.json`, beside the script that made them.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from heatmap_cases import faithfulness, localisation
from keras import layers
from peer_cases import BIAS, HEATS, HOLES, IMAGES, KERNEL, REGIONS, SEED, SIDE, UNIT

from mura_core.heatmaps.measures.inpainting import fill
from mura_core.heatmaps.measures.measure import Case
from mura_core.heatmaps.measures.sanity_checks import max_sensitivity, noisy_images
from mura_plugins.interpretation.gradcam import explain as gradcam
from mura_plugins.interpretation.integrated_gradients import explain as integrated_gradients
from mura_plugins.network import Network

PEERS = json.loads((Path(__file__).parents[1] / "peers" / "captum_and_quantus.json").read_text())


@pytest.fixture(scope="module")
def network() -> Network:
    inputs = keras.Input((SIDE, SIDE, 1))
    convolution = layers.Conv2D(3, 3, padding="same", activation="tanh")
    unit = layers.Dense(1, use_bias=False)
    model = keras.Model(inputs, unit(layers.Flatten()(convolution(inputs))))
    convolution.set_weights([KERNEL, BIAS])
    unit.set_weights([UNIT])
    return Network(model)


@pytest.fixture(scope="module")
def measured(network) -> list[tuple[dict[str, float], dict[str, float]]]:
    """What each image's map is found to be, and its negative."""
    found = []
    for image, heat in zip(IMAGES, HEATS, strict=True):
        found.append(tuple(faithfulness(network, image, one, SEED) for one in (heat, -heat)))
    return found


def test_the_networks_are_the_same(network):
    np.testing.assert_allclose(network.logits(IMAGES), PEERS["logits"], atol=1e-5)


@pytest.mark.parametrize("toward", [1, -1])
@pytest.mark.parametrize("explain", [gradcam, integrated_gradients])
def test_maps_agree_with_captum(network, explain, toward):
    method = explain.__module__.rpartition(".")[2]
    peer = np.array(PEERS[method][str(toward)])
    ours = explain(network, IMAGES[: len(peer)], toward=toward, seed=0)
    np.testing.assert_allclose(ours, peer, rtol=0, atol=1e-6 * np.abs(peer).max())


def test_infidelity_agrees_with_captum(measured):
    # Its scale, which suits the map best, may be below 0: a map and its negative get the same.
    # Ours may not: a map that foretells the contrary says nothing.
    for (found, negative), peer in zip(measured, PEERS["infidelity"], strict=True):
        better, worse = sorted((found["infidelity"], negative["infidelity"]))
        assert better == pytest.approx(peer, abs=1e-6)
        assert better < 1
        assert worse == 1


def test_infidelity_of_a_map_that_foretells_much_agrees_with_captum(network):
    peer = PEERS["infidelity_of_integrated_gradients"]
    images = IMAGES[: len(peer)]
    heats = integrated_gradients(network, images, toward=1, seed=0)
    ours = [
        faithfulness(network, image, heat, SEED)["infidelity"]
        for image, heat in zip(images, heats, strict=True)
    ]
    assert max(peer) < 0.5
    assert ours == pytest.approx(peer, abs=1e-6)


def test_max_sensitivity_agrees_with_captum(network):
    def explain(images):
        return integrated_gradients(network, images, toward=1, seed=0)

    noisy = np.stack([explain(some) for some in noisy_images(IMAGES, SEED)], axis=1)
    ours = [
        max_sensitivity(Case(heat, image, others={"noisy": others}))
        for heat, image, others in zip(explain(IMAGES), IMAGES, noisy, strict=True)
    ]
    np.testing.assert_allclose(ours, PEERS["greatest_change"], rtol=1e-6)


@pytest.mark.parametrize("measure", ["deletion", "insertion"])
def test_deletion_and_insertion_agree_with_pixel_flipping_of_quantus(measured, measure):
    for (found, _), curve, logit in zip(measured, PEERS[measure], PEERS["logits"], strict=True):
        # Its curve begins where 5 % are flipped.
        whole = np.array([logit, *curve])
        expected = ((whole[1:] + whole[:-1]) / 2).mean()
        assert found[measure] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", HOLES)
def test_filling_agrees_with_the_imputation_of_quantus(name):
    hidden = HOLES[name]
    filled = fill(IMAGES[0], hidden)
    np.testing.assert_allclose(filled[hidden], PEERS["filled"][name], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(filled[~hidden], IMAGES[0][~hidden])


@pytest.mark.parametrize("measure", ["pointing", "heat_share"])
@pytest.mark.parametrize("region", REGIONS)
def test_localisation_agrees_with_quantus(measure, region):
    ours = [localisation(heat, REGIONS[region])[measure] for heat in HEATS]
    np.testing.assert_allclose(ours, np.array(PEERS[measure][region], float), atol=1e-6)
