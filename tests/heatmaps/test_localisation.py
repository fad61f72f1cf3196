"""What marks a region is measured as marking it, and what doesn't look isn't."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from heatmap_cases import localisation
from scipy.ndimage import distance_transform_edt

from mura_core.data import Box, Manifest, box_mask, read_boxes
from mura_core.errors import DataError
from mura_core.heatmaps.measures.localisation import best_share
from mura_core.imaging import Square, resize


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


def test_a_map_of_something_else_scores_nothing():
    for mask in planted():
        elsewhere = np.roll(mask, 16, axis=(0, 1))
        if not (mask & elsewhere).any():
            found = localisation(elsewhere.astype(np.float32), mask, share=0.03)
            assert (found["pointing"], found["heat_share"], found["iou"]) == (0, 0, 0)


def test_a_map_that_is_the_same_all_over_gets_what_chance_gives():
    [mask] = planted(1)
    found = localisation(np.zeros((8, 8), np.float32), mask, share=0.5)
    area = 36 / 32**2
    for name in ("pointing", "heat_share", "average_precision"):
        assert found[name] == area
    assert found["iou"] == pytest.approx(0.5 * area / (0.5 + area - 0.5 * area))


def test_hand_worked():
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = True
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0], heat[3, 3], heat[2, 2] = 3.0, 3.0, -5.0
    heat[0, 1] = 2.0
    found = localisation(heat, mask, share=3 / 16)
    assert found["pointing"] == 0.5  # two hottest pixels, one in the region
    assert found["heat_share"] == pytest.approx(5 / 8)
    assert found["iou"] == pytest.approx(2 / 3)
    # Ranked 3, 3, 2: half of the first two are right, then two of three.
    assert found["average_precision"] == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)


def test_what_counts_as_marked_suits_the_training_images():
    masks = planted()
    # Heat that falls off from the region's middle, across its border.
    tilt = np.linspace(0, 0.5, 32**2).reshape(32, 32)  # no two pixels alike
    heat = [distance_transform_edt(mask) - distance_transform_edt(~mask) + tilt for mask in masks]
    share = best_share(np.stack(heat).astype(np.float32), masks)
    assert share == pytest.approx(36 / 32**2, rel=0.2)
    for one, mask in zip(heat, masks, strict=True):
        assert localisation(one.astype(np.float32), mask, share)["iou"] > 0.75


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
            r"line 2: \(3\.0, 2\.0, 1\.0, 4\.0\) is not a box",
        ),
        ("path,x0,y0,x1,y1\nvalid/a.png,1,2,wide,4\n", "line 2: x1 'wide' is not a number"),
        ("path,x0,y0,x1,y1\nvalid/a.png,1,2,,4\n", "line 2: .* is not a box"),
        ("", "is not a CSV table"),
    ],
)
def test_a_damaged_table_of_boxes_is_refused(tmp_path, content, message):
    (tmp_path / "boxes.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_boxes(manifest(tmp_path), "boxes.csv")
