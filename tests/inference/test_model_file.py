"""What a saved model says of its images."""

import keras
import pytest

from mura_core.errors import DataError
from mura_core.imaging import Square
from mura_core.inference import input_name, square_of


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
