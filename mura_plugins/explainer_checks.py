"""The check of explainers, which `mura_plugins.testing` offers to plugin authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.contract import raising_contract_errors, require
from mura_plugins.manager import resolve
from mura_plugins.map_checks import network_state, odd_maps, unusable_maps
from mura_plugins.network import Network
from mura_plugins.record_checks import refuse_invalid
from mura_plugins.records import Explainer

if TYPE_CHECKING:
    import keras


@raising_contract_errors
def check_explainer(record: Explainer, model: keras.Model | None = None) -> None:
    """Check that an explainer meets the requirements of the core.

    Maps are finite, float32 and of shape (N, h, w), and negative only if the record is signed.
    The result for an image doesn't depend on the other images of the batch, nor on the dtype uint8
    or float32. It depends on the seed if and only if the record is stochastic. The network, the
    images and NumPy's global random state are not changed. On the default network, the map peaks
    at the evidence; if the record is signed, it is negative there for 'normal'. It explains the
    logit: it doesn't change if the probability saturates at 1.

    Parameters
    ----------
    record : Explainer
    model : keras.Model, optional
        From images (N, H, W, 1) to logits (N, 1). By default a small convolutional network with
        known evidence: only bright spots raise the logit.

    Raises
    ------
    ContractError
        A requirement is violated, or the function raises an exception.
    NotApplicable
        The method can't explain this network.
    """
    refuse_invalid(record)
    function = resolve(record.explain)
    known = model is None
    model = model or _bright_spot_network(bias=-1.0)
    _, height, width, _ = model.input_shape
    images = np.random.default_rng(0).integers(0, 60, (4, height, width)).astype(np.float32)
    images[:, 4:12, 20:28] = 255
    given = images.copy()
    network = Network(model)

    def explain(
        images: NDArray[Any] = images, *, toward: int = 1, seed: int = 0, network: Network = network
    ) -> NDArray[np.float32]:
        maps = function(network, images, toward=toward, seed=seed)
        broken = unusable_maps(maps, len(images)) or odd_maps(maps, signed=record.signed)
        require(not broken, broken)
        return np.asarray(maps)

    np.random.random()  # noqa: NPY002 - a state that differs from that after any seeding
    before, chance = network_state(network, given), _chance()
    maps = explain()
    require(np.array_equal(images, given), "explaining changed the images")
    changed = network_state(network, given).differs_from(before)
    require(not changed, "explaining changed the network")
    require(_chance() == chance, "explaining changed NumPy's global random state")

    tolerance = 1e-4 * max(float(np.abs(maps).max()), 1e-6)

    def differs(others: NDArray[np.float32]) -> bool:
        return maps.shape != others.shape or float(np.abs(maps - others).max()) > tolerance

    singles = [explain(image[None]) for image in images]
    shapes = {one.shape[1:] for one in singles}
    require(shapes == {maps.shape[1:]}, f"maps of single images have the shapes {shapes}")
    together = np.concatenate(singles)
    require(not differs(together), "the maps of a batch differ from those of single images")
    in_bytes = explain(images.astype(np.uint8))
    require(not differs(in_bytes), "uint8 and float32 give different maps")
    require(not differs(explain()), "the same seed gives different maps")
    if record.stochastic:
        require(differs(explain(seed=1)), "stochastic=True, but maps don't depend on the seed")
    else:
        require(not differs(explain(seed=1)), "stochastic=False, but maps depend on the seed")
    if not known:
        return
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    place = row * height / maps.shape[1], column * width / maps.shape[2]
    require(
        2 <= place[0] <= 13 and 18 <= place[1] <= 29,
        f"the map's peak isn't where the network's evidence is: expected rows 4 to 11 and columns"
        f" 20 to 27 of the image, got row {place[0]:.0f} and column {place[1]:.0f}",
    )
    if record.signed:
        against = explain(toward=-1)[0, row, column]
        require(against < 0, "evidence for 'abnormal' isn't negative in the map for 'normal'")
    sure = explain(network=Network(_bright_spot_network(bias=40.0)))
    require(maps.shape == sure.shape, "the shape of maps depends on the logit")
    difference = np.abs(maps - sure).max()
    require(
        difference <= 1e-2 * np.abs(maps).max(),
        "the map changes when the probability saturates: it must explain the logit instead",
    )


def _chance() -> bytes:
    """Return NumPy's global random state."""
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return b"%d " % state["pos"] + state["key"].tobytes()


def _bright_spot_network(bias: float) -> keras.Model:
    import keras

    inputs = keras.Input((32, 48, 1))
    # One channel is active above level 200; the other, active in dark regions, has weight 0.
    features = keras.layers.Conv2D(2, 1, activation="relu", name="threshold")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    model.set_weights(
        [
            np.array([[[[1.0, -1.0]]]], np.float32),
            np.array([-200.0, 100.0], np.float32),
            np.array([[1.0], [0.0]], np.float32),
            np.array([bias], np.float32),
        ]
    )
    return model
