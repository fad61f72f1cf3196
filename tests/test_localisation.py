"""What marks a region is measured as marking it, and what doesn't look isn't."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mura_core.boxes import Box, box_mask, read_boxes
from mura_core.errors import DataError
from mura_core.localisation import fixed_maps, in_words, localisation, measure
from mura_core.manifest import Manifest
from mura_core.resizing import Square, resize


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (48, 48)])
def test_a_box_lies_where_what_it_encloses_went(fit, shape):
    radiograph = np.zeros(shape, np.uint8)
    radiograph[18:30, 21:33] = 255
    square = Square(48, fit=fit)
    mask = box_mask([Box(21, 18, 33, 30)], shape, square)
    bright = resize(radiograph, square) >= 128
    # At the border a pixel may be half in.
    assert (mask ^ bright).sum() <= 0.25 * bright.sum()
    assert mask[bright].mean() > 0.85


def test_a_box_smaller_than_a_pixel_is_the_pixel_it_lies_in():
    mask = box_mask([Box(101, 203, 102, 204)], (400, 400), Square(40))
    assert np.argwhere(mask).tolist() == [[20, 10]]
    assert not box_mask([Box(0, 0, 9, 9)], (40, 100), Square(40, fit="crop")).any()


def planted(count: int = 40, side: int = 32) -> list[np.ndarray]:
    """Regions of 6 x 6 pixels, anywhere but at the border."""
    random = np.random.default_rng(0)
    masks = []
    for _ in range(count):
        mask = np.zeros((side, side), bool)
        top, left = random.integers(1, side - 7, 2)
        mask[top : top + 6, left : left + 6] = True
        masks.append(mask)
    return masks


def test_a_perfect_map_scores_best_and_a_random_one_by_chance():
    masks = planted()
    area = float(np.mean([mask.mean() for mask in masks]))
    perfect = np.stack(masks).astype(np.float32)
    _, summary = measure(perfect, masks, planted(), seed=0)
    for name in ("pointing", "heat_share", "iou", "average_precision"):
        assert summary[name]["mean"] == pytest.approx(1.0), name
    for name in ("pointing", "heat_share", "average_precision"):
        assert summary[name]["fixed"]["random"]["mean"] == pytest.approx(area, abs=0.05), name
        assert summary[name]["fixed"]["random"]["interval"][0] > 0.8
    # All over the image alike: what chance gives.
    _, empty = measure(np.zeros((40, 8, 8), np.float32), masks, planted(), seed=0)
    for name in ("pointing", "heat_share", "average_precision"):
        assert empty[name]["mean"] == pytest.approx(area)


def test_a_map_of_something_else_scores_nothing():
    masks = planted()
    elsewhere = np.stack([np.roll(mask, 16, axis=(0, 1)) for mask in masks]).astype(np.float32)
    apart = [not (mask & (other > 0)).any() for mask, other in zip(masks, elsewhere, strict=True)]
    table, _ = measure(elsewhere, masks, planted(), seed=0)
    assert (table[apart][["pointing", "heat_share", "iou"]] == 0).all(axis=None)


def test_hand_worked():
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = True
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0], heat[3, 3], heat[2, 2] = 3.0, 3.0, -5.0
    heat[0, 1] = 2.0
    found = localisation(heat, mask, marked_share=3 / 16)
    assert found["pointing"] == 0.5  # two hottest pixels, one in the region
    assert found["heat_share"] == pytest.approx(5 / 8)
    assert found["iou"] == pytest.approx(2 / 3)
    # Ranked 3, 3, 2: half of the first two are right, then two of three.
    assert found["average_precision"] == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)


def test_fixed_maps():
    masks = planted(3, side=10)
    maps = fixed_maps((7, 9), masks)
    row, column = np.unravel_index(maps["centre"].argmax(), (7, 9))
    assert (row, column) == (3, 4)
    np.testing.assert_allclose(maps["average_box"], np.mean(masks, axis=0))
    assert list(fixed_maps((7, 9), [])) == ["centre"]


def test_a_fixed_mask_is_not_beaten_by_itself_and_that_is_said():
    # Every finding lies in the centre, and so does every map's heat: the centre map does as well.
    mask = np.zeros((33, 33), bool)
    mask[14:19, 14:19] = True
    heat = fixed_maps((33, 33), [])["centre"]
    _, summary = measure(np.stack([heat] * 20), [mask] * 20, [mask] * 5, seed=0)
    said = in_words(summary)
    assert "in 100% of 20 images" in said
    assert "centre 100%" in said
    assert said.endswith("no better than a map that doesn't look at the image")
    masks = planted()
    _, better = measure(np.stack(masks).astype(np.float32), masks, masks, seed=0)
    assert "no better" not in in_words(better)


def manifest(folder: Path) -> Manifest:
    table = pd.DataFrame({"path": ["valid/a.png", "valid/b.png"], "split": "valid"})
    return Manifest(folder, table)


def test_boxes_are_found_in_the_data_folder_or_above_it(tmp_path):
    data = tmp_path / "MURA"
    data.mkdir()
    assert read_boxes(manifest(data), "boxes.csv") == {}
    content = (
        "path,x0,y0,x1,y1\n{0}valid/a.png,1,2,3,4\n{0}valid/a.png,5,5,6,9.5\nother.png,0,0,1,1\n"
    )
    expected = {"valid/a.png": [Box(1, 2, 3, 4), Box(5, 5, 6, 9.5)]}
    (tmp_path / "boxes.csv").write_text(content.format("MURA/"))
    assert read_boxes(manifest(data), "boxes.csv") == expected
    (data / "boxes.csv").write_text(content.format(""))
    assert read_boxes(manifest(data), "boxes.csv") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,x0,y0,x1\na,1,2,3\n", "has no column 'y1'"),
        (
            "path,x0,y0,x1,y1\nvalid/a.png,3,2,1,4\n",
            r"line 2: \(3\.0, 2\.0, 1\.0, 4\.0\) is no box",
        ),
        ("path,x0,y0,x1,y1\nvalid/a.png,1,2,wide,4\n", "line 2: .* are not four numbers"),
        ("path,x0,y0,x1,y1\nvalid/a.png,1,2,,4\n", "line 2: .* is no box"),
        ("", "is not a CSV table"),
    ],
)
def test_a_damaged_table_of_boxes_is_refused(tmp_path, content, message):
    (tmp_path / "boxes.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_boxes(manifest(tmp_path), "boxes.csv")
