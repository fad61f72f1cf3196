"""What Grad-CAM costs: predicting alone, ours, which predicts as well, and tf-keras-vis'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from training_peers import builder_of
from work import SIZE, Data, Maker, Work

if TYPE_CHECKING:
    import keras

BATCH = 32


def network_and_images(architecture: str, data: Data) -> tuple[keras.Model, np.ndarray]:
    import keras

    keras.utils.set_random_seed(0)
    model = builder_of(architecture)((SIZE, SIZE, 1))
    return model, (data.squares() / 64.0 - 1).astype(np.float32)


def in_batches(work: Any, images: np.ndarray) -> np.ndarray:
    starts = range(0, len(images), BATCH)
    return np.concatenate([work(images[start : start + BATCH]) for start in starts])


def predict(architecture: str) -> Maker:
    def make(data: Data) -> Work:
        from mura_plugins.network import Network

        model, images = network_and_images(architecture, data)
        network = Network(model)
        return lambda: in_batches(network.logits, images)

    return make


def gradcam_by_mura(architecture: str) -> Maker:
    def make(data: Data) -> Work:
        from mura_plugins.interpretation.gradcam import explain
        from mura_plugins.network import Network

        model, images = network_and_images(architecture, data)
        network = Network(model)
        return lambda: in_batches(lambda some: explain(network, some, toward=1, seed=0), images)

    return make


def gradcam_by_tf_keras_vis(architecture: str) -> Maker:
    def make(data: Data) -> Work:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import BinaryScore

        from mura_plugins.network import Network

        model, images = network_and_images(architecture, data)
        peer = Gradcam(model, model_modifier=ReplaceToLinear(), clone=False)
        layer = Network(model).layer
        return lambda: in_batches(
            lambda some: np.asarray(
                peer(
                    BinaryScore(True),
                    some[..., None],
                    penultimate_layer=layer,
                    seek_penultimate_conv_layer=False,
                    expand_cam=False,
                    normalize_cam=False,
                )
            ),
            images,
        )

    return make
