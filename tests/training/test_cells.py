"""Learning where findings are: the boxes reach the right cells, and the map says where they are."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_image
from hypothesis import given, settings
from hypothesis import strategies as st

from mura_core.data import Box, box_mask, in_square
from mura_core.imaging import Square
from mura_core.inference import load_model
from mura_core.training import Augmentation
from mura_core.training.augmentation import NUMBERS
from mura_core.training.cells import CellLoss
from mura_models.resnet import resnet18
from mura_plugins import NotApplicable
from mura_plugins.interpretation.cells import explain
from mura_plugins.manager import load_plugins
from mura_plugins.network import Network

SIZE, GRID = 64, 8
SIDE = SIZE / GRID


def expected_loss(cells, boxes, labels, sources, weights=(1.0, 1.0), smoothing=0.0) -> float:
    """The loss as docs/training.md has it, cell by cell: 20 for the map, 0.3 for its top three."""

    def cross_entropy(logit: float, target: float) -> float:
        return np.logaddexp(0, logit) - target * logit

    total = 0.0
    for image, label in enumerate(labels):
        own = [box for box in boxes[image] if np.isfinite(box).all()]
        for row in range(GRID):
            for column in range(GRID):
                y, x = sources[image, :, row, column]

                def within(margin, least, y=y, x=x, own=own):
                    return any(
                        abs(x - (left + right) / 2) < max((right - left) / 2 + margin, least)
                        and abs(y - (top + bottom) / 2) < max((bottom - top) / 2 + margin, least)
                        for left, top, right, bottom in own
                    )

                if bool(own) != bool(label):
                    weight = 0.0  # it says nothing of single cells
                elif within(0.25 * SIDE, 0.5 * SIDE):
                    weight = 7.0
                else:
                    weight = 0.0 if within(1.25 * SIDE, SIDE) else 1.0
                inside = float(within(0.25 * SIDE, 0.5 * SIDE))
                loss = cross_entropy(cells[image, row, column], inside)
                total += 20 * weight * loss / (GRID * GRID)
        highest = np.sort(cells[image].ravel())[-3:].mean()
        target = label * (1 - smoothing) + smoothing / 2
        total += 0.3 * weights[label] * cross_entropy(highest, target)
    return total / len(labels)


def moved_positions(augmentation: Augmentation, numbers: np.ndarray) -> np.ndarray:
    """Where each cell's centre comes from, read off moved images whose levels are positions."""
    ramps = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"))  # rows, columns
    found = np.empty((len(numbers), 2, GRID, GRID))
    for image, own in enumerate(numbers):
        for axis, ramp in enumerate(ramps):
            picture = np.float32(ramp[None, ..., None]) + 1  # so that 0 is outside
            moved = augmentation([picture, own[None]]).numpy()[0, ..., 0] - 1
            # A centre lies between four pixels.
            blocks = moved.reshape(GRID, int(SIDE), GRID, int(SIDE))
            half = int(SIDE) // 2
            middle = blocks[:, half - 1 : half + 1, :, half - 1 : half + 1]
            found[image, axis] = middle.mean(axis=(1, 3)) + 0.5
    return found


def test_the_loss_is_the_documented_one():
    random = np.random.default_rng(0)
    labels = np.array([1, 0, 1, 0])
    boxes = np.full((4, 2, 4), np.nan, np.float32)
    boxes[0] = [[10, 20, 31, 33], [50, 50, 53, 60]]
    boxes[3, 0] = [10, 20, 31, 33]  # of a normal image: contradictory; image 2 has none
    cells = random.normal(-2, 2, (4, GRID, GRID)).astype(np.float32)
    layer = CellLoss(20.0, (0.7, 1.9), 0.1, SIZE)
    logits = np.zeros((4, 1), np.float32)
    layer([logits, cells[..., None], boxes, labels[:, None].astype(np.float32)])
    centres = (np.arange(GRID) + 0.5) * SIDE
    sources = np.broadcast_to(np.stack(np.meshgrid(centres, centres, indexing="ij")), (4, 2, 8, 8))
    expected = expected_loss(cells, boxes, labels, sources, (0.7, 1.9), 0.1)
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-5)


def test_boxes_move_with_the_images():
    random = np.random.default_rng(1)
    # Small motions, so that the ramps are read inside the picture.
    augmentation = Augmentation(["flip", "rotate=8", "shift=0.04", "zoom=0.06"])
    numbers = random.random((6, NUMBERS)).astype(np.float32)
    labels = np.ones(6, int)
    boxes = np.tile(np.float32([[[20, 22, 36, 41]]]), (6, 1, 1))
    cells = random.normal(-2, 2, (6, GRID, GRID)).astype(np.float32)
    layer = CellLoss(20.0, (1.0, 1.0), 0.0, SIZE, augmentation)
    ones = np.ones((6, 1), np.float32)
    layer([np.zeros((6, 1), np.float32), cells[..., None], boxes, ones, numbers])
    sources = moved_positions(augmentation, numbers)
    expected = expected_loss(cells, boxes, labels, sources)
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-4)


@given(
    height=st.integers(4, 60),
    width=st.integers(4, 60),
    size=st.integers(4, 40),
    fit=st.sampled_from(["stretch", "pad", "crop"]),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)
@settings(deadline=None)
def test_boxes_in_the_square_cover_the_pixels_of_their_masks(height, width, size, fit, corners):
    left, right = sorted((corners[0] * width, corners[1] * width))
    top, bottom = sorted((corners[2] * height, corners[3] * height))
    if right - left < 0.5 or bottom - top < 0.5:
        return
    box, square = Box(left, top, right, bottom), Square(size, "area", fit)
    mask = box_mask([box], (height, width), square)
    centres = np.arange(size) + 0.5
    inside = np.zeros((size, size), bool)
    for moved in in_square([box], (height, width), square):
        rows = (moved.top < centres + 1e-6) & (centres < moved.bottom + 1e-6)
        columns = (moved.left < centres + 1e-6) & (centres < moved.right + 1e-6)
        inside |= rows[:, None] & columns
    if inside.any():
        # A pixel's centre on the very edge may count for one of the two.
        assert (inside != mask).sum() <= inside.any(0).sum() + inside.any(1).sum()
        assert (mask & ~inside).sum() == 0 or inside.sum() <= mask.sum()


@pytest.fixture(scope="module")
def spots(tmp_path_factory) -> Path:
    """A data set whose abnormal images hold one bright spot, with its box."""
    folder = tmp_path_factory.mktemp("spots")
    random = np.random.default_rng(0)
    rows, boxes = [], []
    for number in range(120):
        label, split = number % 2, "valid" if number >= 88 else "train"
        pixels = random.integers(40, 140, (64, 64), dtype=np.uint8)
        path = f"{number}.png"
        if label:
            top, left = random.integers(2, 44, 2)
            pixels[top : top + 18, left : left + 18] = 255
            boxes.append((path, left, top, left + 18, top + 18))
        write_image(folder / path, pixels)
        rows.append((path, "XR_HAND", f"p{number}", "s1", label, split))
    columns = ["path", "body_part", "patient", "study", "label", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    pd.DataFrame(boxes, columns=["path", "x0", "y0", "x1", "y1"]).to_csv(
        folder / "boxes.csv", index=False
    )
    return folder


@pytest.fixture(scope="module")
def run(spots: Path, tmp_path_factory) -> Path:
    """The folder of a run whose network learned from the boxes."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = mura_run(
        "--data", spots, "--out", folder, "--model", "resnet18", "--size", "64", "--model-option",
        "width=0.125", "--model-option", "cells=true", "--epochs", "8", "--learning-rate", "1e-2",
        "--augment", "flip", "--augment", "shift", "--explain", "cells", "--explain-images", "all",
        "--average-flips", "--seed", "3", "--jit", "off",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def test_a_network_learns_where_the_findings_are(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["figures"][0]["auroc"] > 0.9
    [cells] = metrics["heatmaps"]["methods"]
    assert cells["explainer"] == "cells"
    assert cells["layer"] == "cells"
    for measure in ("heat_share", "average_precision", "iou"):
        for baseline in cells["finding"][measure]["baselines"].values():
            assert baseline["interval"][0] > 0  # the network's own map is better for sure
    history = pd.read_csv(run / "history.csv")
    assert history["cell_loss"].iloc[-1] < 0.7 * history["cell_loss"].iloc[0]


def test_the_saved_model_is_a_plain_one_from_pixels_to_the_logit(run):
    model = load_model(run / "model.keras")
    assert model.input_shape == (None, 64, 64, 1)
    assert model.output_shape == (None, 1)
    # Keras alone loads it, without anything of ours.
    assert keras.saving.load_model(run / "model.keras", safe_mode=True) is not None


def test_predictions_are_averaged_over_the_mirror_image(run, spots):
    from PIL import Image

    predictions = pd.read_csv(run / "predictions.csv")
    model = load_model(run / "model.keras")
    for row in predictions.head(4).to_dict("records"):
        pixels = np.asarray(Image.open(spots / row["path"]))
        views = np.stack([pixels, pixels[:, ::-1]])[..., None]
        probabilities = 1 / (1 + np.exp(-np.asarray(model(views), np.float64)))
        assert row["probability"] == pytest.approx(probabilities.mean(), abs=1e-5)


def test_without_boxes_nothing_but_the_loss_of_cells_is_missing(mura, tmp_path):
    folder = tmp_path / "run"
    result = mura_run(
        "train", "--data", mura, "--out", folder, "--model", "resnet18", "--size", "32",
        "--model-option", "width=0.125", "--model-option", "cells=true", "--epochs", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "cell_loss" not in pd.read_csv(folder / "history.csv")


def test_a_network_without_cells_has_no_such_map():
    keras.utils.set_random_seed(0)
    network = Network(resnet18((32, 32, 1), width=0.125))
    with pytest.raises(NotApplicable, match="no layer named cells"):
        explain(network, np.zeros((1, 32, 32)), toward=1, seed=0)


def test_the_map_of_cells_keeps_the_promises_of_an_explainer():
    keras.utils.set_random_seed(0)
    network = Network(resnet18((64, 64, 1), width=0.125, cells=True))
    images = np.random.default_rng(0).normal(size=(5, 64, 64)).astype(np.float32)
    for toward in (1, -1):
        maps = explain(network, images, toward=toward, seed=0)
        assert maps.shape == (5, 4, 4)
        assert maps.dtype == np.float32
        assert (maps >= 0).all()
        singles = [explain(network, one[None], toward=toward, seed=0)[0] for one in images]
        np.testing.assert_allclose(maps, singles, rtol=1e-4, atol=1e-6)
    assert load_plugins().explainer("cells").signed is False
