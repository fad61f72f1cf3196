"""Exported models give what the model gives, in the programs they are for."""

from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from command_line import mura_run

from mura_core.imaging import PixelStatistics, Square
from mura_core.training import build_model
from mura_core.training.checkpoint import save_model
from mura_models.conv import conv4

SIDE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> tuple[keras.Model, Path, np.ndarray]:
    random = np.random.default_rng(0)
    deviation = random.uniform(20, 60, (SIDE, SIDE))
    deviation[:4] = 0  # a border that never varied
    statistics = PixelStatistics(random.uniform(40, 90, (SIDE, SIDE)), deviation, 9)
    model = build_model(conv4, {}, statistics, Square(SIDE))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save_model(model, path)
    images = random.integers(0, 256, (5, SIDE, SIDE, 1)).astype(np.float32)
    return model, path, images


def by_savedmodel(path: Path, images: np.ndarray) -> np.ndarray:
    loaded = tf.saved_model.load(str(path))
    return loaded.serve(images).numpy()


def by_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def by_keras(path: Path, images: np.ndarray) -> np.ndarray:
    return keras.saving.load_model(path, compile=False).predict(images, verbose=0)


@pytest.mark.parametrize(
    ("file_format", "name", "logits"),
    [
        ("savedmodel", "model", by_savedmodel),
        ("onnx", "model.onnx", by_onnx),
        ("h5", "model.h5", by_keras),
    ],
)
def test_an_exported_model_gives_the_same_logits(model, tmp_path, file_format, name, logits):
    network, path, images = model
    arguments = ["export", "--model-file", path, "--format", file_format, "--out", tmp_path / name]
    result = mura_run(*arguments)
    assert result.exit_code == 0, result.output
    assert "resized by area, fitted by stretch" in result.output
    expected = network(images).numpy()
    np.testing.assert_allclose(logits(tmp_path / name, images), expected, atol=1e-6)
    assert [left.name for left in tmp_path.iterdir()] == [name]
    again = mura_run(*arguments)
    assert again.exit_code == 2
    assert f"{name} already exists" in again.stderr


def test_without_tf2onnx_it_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr("mura_core.inference.export.find_spec", lambda name: None)
    arguments = ["export", "--model-file", model[1], "--format", "onnx", "--out", tmp_path / "m"]
    result = mura_run(*arguments)
    assert result.exit_code == 2
    assert "pip install 'mura-run[onnx]'" in result.stderr
