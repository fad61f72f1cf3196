"""Burnt-in letters: those of the phantoms and of real radiographs are found, and bones aren't."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw, ImageFont

from mura_core.data import Box
from mura_core.heatmaps.text_detection import find_letters
from mura_core.imaging import read_radiograph
from mura_core.phantoms.drawing import draw_image
from mura_core.phantoms.plan import plan_images


def radiograph(text: str = "R", *, size=(480, 360), at=(300, 60), ink: int = 255) -> np.ndarray:
    """A limb of soft edges on a dark ground, with text burnt in beside it."""
    width, height = size[1], size[0]
    columns = np.arange(width)
    limb = 30 + 150 * np.exp(-(((columns - width * 0.4) / (width * 0.12)) ** 2))
    picture = Image.fromarray(np.tile(limb, (height, 1)).astype(np.uint8))
    ImageDraw.Draw(picture).text(at, text, fill=ink, font=ImageFont.load_default(24))
    return np.asarray(picture)


def boxes_of(text: str, at: tuple[int, int]) -> tuple[float, float, float, float]:
    canvas = ImageDraw.Draw(Image.new("L", (500, 500)))
    return canvas.textbbox(at, text, font=ImageFont.load_default(24))


def union(boxes: list[Box]) -> tuple[float, float, float, float]:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


@pytest.mark.parametrize("text", ["R", "L", "LEFT", "25"])
def test_letters_beside_a_limb_are_found_each_in_a_box(text):
    found = find_letters(radiograph(text, at=(270, 60)))
    assert len(found) == len(text)
    np.testing.assert_allclose(union(found), boxes_of(text, (270, 60)), atol=2)


@pytest.mark.parametrize("blank", [0, 128, 255])
def test_a_blank_film_has_none(blank):
    assert find_letters(np.full((300, 200), blank, np.uint8)) == []


def test_a_limb_without_letters_has_none():
    assert find_letters(radiograph("")) == []


def test_dim_letters_are_none():
    assert find_letters(radiograph("R", ink=150)) == []


def test_sixteen_bits_say_the_same():
    eight = radiograph()
    assert find_letters(eight.astype(np.uint16) * 257) == find_letters(eight)


def test_boxes_of_a_large_radiograph_are_in_its_own_pixels():
    small = radiograph()
    large = np.asarray(Image.fromarray(small).resize((1440, 1920), Image.Resampling.NEAREST))
    (box,) = find_letters(small)
    (scaled,) = find_letters(large)
    np.testing.assert_allclose(np.array(scaled) / 4, box, atol=1)


@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16]),
        array_shapes(min_dims=2, max_dims=2, max_side=40),
        elements=st.sampled_from([0, 100, 255]),
    ),
    st.sampled_from([1, 3, 20]),
)
def test_boxes_lie_inside_whatever_the_radiograph(picture, times):
    picture = picture.repeat(times, axis=1)
    height, width = picture.shape
    for box in find_letters(picture):
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height


def test_most_letters_of_the_phantoms_are_found_and_next_to_nothing_else():
    texts = found_texts = false = 0
    drawings = [draw_image(planned) for planned in plan_images()[::10]]
    for picture, _, letters in drawings:
        marked = np.zeros(picture.size[::-1], bool)
        for box in find_letters(np.asarray(picture.convert("L"))):
            marked[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = True
        for (left, top, right, bottom), _ in letters:
            texts += 1
            found_texts += marked[top:bottom, left:right].any(axis=0).mean() > 0.5
            marked[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = False
        false += marked.any()
    assert len(drawings) > 90
    assert found_texts > 0.65 * texts
    assert false < 0.06 * len(drawings)


def test_of_real_radiographs_only_those_with_letters_are_marked(real_data: Path):
    marked = {
        path.stem
        for path in (real_data / "formats" / "ccby").glob("fa_*.jpg")
        if "truncated" not in path.name and find_letters(np.asarray(Image.open(path).convert("L")))
    }
    # Seen: these four, of eighteen, show a clinic's sign, R or L, and a word. Others have a watch,
    # a bangle, a nail, plates, plaster and film borders.
    assert marked == {
        "fa_L_large_burnedin_R",
        "fa_L_large_burnedin_R2",
        "fa_burnedin_L_shoulder",
        "fa_large_normal_hand",
    }


@pytest.mark.parametrize(
    ("name", "column", "row"),
    [
        ("graz_0001_16bit", 15, 610),
        ("graz_0001_rgb8", 15, 610),
        ("graz_0004_16bit", 40, 340),
        ("graz_0020_16bit_rotated", 500, 240),  # on its side
        ("graz_6082_16bit_cast", 545, 115),  # beside plaster
    ],
)
def test_the_marker_of_real_wrists_is_found_and_nothing_else(name, column, row, real_data: Path):
    path = real_data / "formats" / "ccby" / f"{name}.png"
    (box,) = find_letters(read_radiograph(path))
    assert box.left < column < box.right  # where it was seen
    assert box.top < row < box.bottom
