"""What a saved model says of its images."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.errors import DataError
from mura_core.imaging import Square
from mura_core.inference import input_name, load_model, square_of


def model_named(name: str) -> keras.Model:
    inputs = keras.Input((24, 24, 1), name=name)
    return keras.Model(inputs, inputs)


@pytest.mark.parametrize(
    ("square", "name"),
    [
        (Square(24), "pixels_area_stretch"),
        (Square(24, "linear", "crop"), "pixels_linear_crop"),
        (Square(24, "bilinear", "pad", bit_depth=12), "pixels_bilinear_pad_12bit"),
        (Square(24, bit_depth=8), "pixels_area_stretch_8bit"),
    ],
)
def test_a_model_remembers_how_its_images_are_read_and_resized(square, name):
    assert input_name(square) == name
    assert square_of(model_named(name)) == square


@pytest.mark.parametrize("name", ["input_1", "pixels_area", "pixels_area_stretch_17bit"])
def test_other_models_are_refused(name):
    with pytest.raises(DataError, match=f"the model's input is named '{name}'"):
        square_of(model_named(name))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    inputs = keras.Input((24, 24, 1))
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(inputs))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Model(inputs, outputs).save(path)
    return path


def rewritten(path: Path, saved: Path, **contents: bytes) -> Path:
    """Write a copy of a saved model, with other contents of some members."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, contents.get(member.split(".")[0], old.read(member)))
    return path


@pytest.mark.parametrize("member", ["config", "metadata", "model"])
def test_a_model_that_would_fill_the_memory_is_refused_unread(member, saved, tmp_path):
    path = rewritten(tmp_path / "bomb.keras", saved, **{member: bytes(200_000_000)})
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"bomb\.keras: would unpack [\d,]+ bytes to 200,"):
        load_model(path)


def keys_of(content: Any) -> list:
    if isinstance(content, dict):
        return sorted(content)
    return list(range(len(content))) if isinstance(content, list) else []


VALUES = st.sampled_from([None, -1, 0, 10**9, "x", [], {}, "../../x", {"class_name": "Lambda"}])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_hostile_config_is_loaded_or_refused_in_one_line(data, saved, tmp_path):
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read("config.json"))
    inside: Any = config
    for _ in range(data.draw(st.integers(0, 8))):
        nested = [key for key in keys_of(inside) if keys_of(inside[key])]
        if nested:
            inside = inside[data.draw(st.sampled_from(nested))]
    inside[data.draw(st.sampled_from(keys_of(inside)))] = data.draw(VALUES)
    path = rewritten(tmp_path / "odd.keras", saved, config=json.dumps(config).encode())
    message = ""
    try:
        load_model(path)
    except DataError as error:
        message = str(error)
    if message:
        assert message.startswith(f"{path}: can't be loaded as a Keras model (")
        assert len(message.splitlines()) == 1
