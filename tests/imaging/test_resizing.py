"""Squares: each method against its definition and a peer, each fit against its promise."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mura_core.imaging import FITS, METHODS, Square, _resize, resize, resizing
from mura_core.imaging._processor import best_instructions
from mura_core.imaging.resizing import resize_unrounded

cv2 = pytest.importorskip("cv2")

sides = st.integers(1, 300)


def picture(height: int, width: int, dtype=np.uint8) -> np.ndarray:
    random = np.random.default_rng(height * 301 + width)
    return random.integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(shape, fit):
    with pytest.raises(ValueError, match="has no pixels"):
        resize(np.zeros(shape, np.uint8), Square(8, fit=fit))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 20),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
@settings(max_examples=100, deadline=None)
def test_area_is_the_exact_mean_over_each_new_pixels_area(height, width, size, dtype):
    image = picture(height, width, dtype)
    # Cut each pixel into size x size, which new pixels hold whole numbers of.
    cut = np.kron(image.astype(np.float64), np.ones((size, size)))
    exact = cut.reshape(size, height, size, width).mean(axis=(1, 3))
    levels = exact / 257 if dtype == np.uint16 else exact
    np.testing.assert_allclose(resize_unrounded(image, Square(size)), levels, atol=1e-4)
    assert abs(resize(image, Square(size)) - levels).max() <= 0.5 + 1e-4


def by_opencv(image: np.ndarray, size: int, interpolation: int) -> np.ndarray:
    return cv2.resize(image, (size, size), interpolation=interpolation).astype(int)


@given(height=sides, width=sides, size=st.integers(1, 120))
@settings(max_examples=200, deadline=None)
def test_linear_is_opencvs(height, width, size):
    image = picture(height, width)
    peer = by_opencv(image, size, cv2.INTER_LINEAR_EXACT)
    assert abs(resize(image, Square(size, "linear")) - peer).max() <= 1


@given(height=sides, width=sides, size=st.integers(1, 120))
@settings(max_examples=200, deadline=None)
def test_bilinear_is_pillows(height, width, size):
    image = picture(height, width)
    peer = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    difference = resize(image, Square(size, "bilinear")) - np.asarray(peer).astype(int)
    assert abs(difference).max() <= 1


@given(size=st.integers(1, 120), more=st.integers(0, 180), other=st.integers(0, 180))
@settings(max_examples=200, deadline=None)
def test_area_is_opencvs_where_images_shrink(size, more, other):
    image = picture(size + more, size + other)
    peer = by_opencv(image, size, cv2.INTER_AREA)
    assert abs(resize(image, Square(size)) - peer).max() <= 1


def test_only_linear_aliases():
    # Stripes of one pixel, shrunk to a third: every new pixel covers light and dark ones.
    stripes = np.tile(np.array([0, 255], np.uint8), (300, 150))
    spread = {
        method: np.ptp(resize(stripes, Square(100, method))[:, 2:-2].astype(int))
        for method in METHODS
    }
    assert spread["linear"] == 255
    assert spread["area"] <= 85
    assert spread["bilinear"] <= 30


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fit", FITS)
def test_an_image_of_one_level_keeps_it(method, fit):
    square = resize(np.full((50, 31), 255, np.uint8), Square(20, method, fit))
    inside = square[:, 4:16] if fit == "pad" else square
    assert (inside == 255).all()
    assert square.shape == (20, 20)


@pytest.mark.parametrize("method", METHODS)
def test_an_images_own_size_changes_nothing(method):
    image = picture(40, 40)
    np.testing.assert_array_equal(resize(image, Square(40, method)), image)


def test_padding_and_cropping_keep_proportions():
    # A disc stays one; stretched, it becomes an ellipse.
    rows, columns = np.mgrid[:200, :300]
    disc = ((rows - 100) ** 2 + (columns - 150) ** 2 < 60**2).astype(np.uint8) * 255
    sizes = {}
    for fit in FITS:
        inside = resize(disc, Square(120, "area", fit)) > 127
        sizes[fit] = (inside.any(axis=1).sum(), inside.any(axis=0).sum())
    assert sizes == {"stretch": (71, 48), "pad": (48, 48), "crop": (71, 71)}
    padded = resize(np.full((200, 300), 9, np.uint8), Square(120, fit="pad"))
    assert (padded[20:100] == 9).all()
    assert (padded[:20] == 0).all()
    assert (padded[100:] == 0).all()
    np.testing.assert_array_equal(
        resize(disc, Square(120, fit="crop")), resize(disc[:, 50:250], Square(120))
    )


@given(height=sides, width=sides, size=st.integers(1, 100), method=st.sampled_from(METHODS))
@settings(max_examples=100, deadline=None)
def test_all_instructions_give_the_same_bits(height, width, size, method):
    for dtype, highest in ((np.uint8, 255), (np.uint16, 65535)):
        image = picture(height, width, dtype)
        weights = (
            *resizing._weights(height, size, method, highest),
            *resizing._weights(width, size, method, 255),
        )
        results = []
        for instructions in range(best_instructions() + 1):
            levels, rounded = np.empty((size, size), np.float32), np.empty((size, size), np.uint8)
            _resize.weighted(image, *weights, levels, instructions)
            _resize.weighted(image, *weights, rounded, instructions)
            results.append((levels.tobytes(), rounded.tobytes()))
            np.testing.assert_array_equal(rounded, np.floor(levels + np.float32(0.5)))
        assert len(set(results)) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0,), "size must be at least 1, got 0"),
        ((9, "lanczos"), "'lanczos' is not one of area, bilinear, linear"),
        ((9, "area", "squeeze"), "'squeeze' is not one of stretch, pad, crop"),
    ],
)
def test_what_no_square_can_be_is_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Square(*arguments)


def test_a_saved_image_is_resized_as_its_pixels_are():
    from mura_core import read_radiograph

    image, file = picture(33, 47), io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    np.testing.assert_array_equal(
        resize(read_radiograph(file.getvalue()), Square(20)), resize(image, Square(20))
    )
