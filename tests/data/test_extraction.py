"""Images as arrays, as the report's extraction gave them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_image
from hypothesis import given, settings
from hypothesis import strategies as st

from mura_core import Square, extract, read_manifest
from mura_core.data import DEFAULT_SEED
from mura_core.errors import UsageError
from mura_core.pipeline import open_data
from mura_core.runs import RunConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def test_one_part_unstandardised_is_a_view_of_the_map(mura, folder):
    elbow = extract(mura, folder, body_part="elbow", square=Square(32), standardise=False)
    assert elbow.images.dtype == np.uint8
    assert isinstance(elbow.images, np.memmap)
    assert elbow.images.base is not None
    assert set(elbow.table["body_part"]) == {"XR_ELBOW"}
    np.testing.assert_array_equal(elbow.labels, elbow.table["label"])


def test_standardised_training_images_have_mean_0_and_deviation_1(mura, folder):
    every = extract(mura, folder, square=Square(32))
    assert every.images.dtype == np.float32
    np.testing.assert_allclose(every.images.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(every.images.std(axis=0, ddof=1), 1, atol=1e-5)
    valid = extract(mura, folder, square=Square(32), split="valid")
    assert abs(valid.images.mean()) < 0.5


@pytest.mark.parametrize(
    ("by", "units"), [("image", 80), ("study", 40), ("patient_within_part", 40)]
)
def test_units_hold_their_own_images_in_any_order(mura, folder, by, units):
    plain = extract(mura, folder, square=Square(32), standardise=False, by=by)
    shuffled = extract(mura, folder, square=Square(32), standardise=False, by=by, shuffle_seed=5)
    again = extract(mura, folder, square=Square(32), standardise=False, by=by, shuffle_seed=5)
    assert len(plain.labels) == len(shuffled.labels) == units
    assert shuffled.table["path"].tolist() == again.table["path"].tolist()
    assert shuffled.table["path"].tolist() != plain.table["path"].tolist()
    assert sorted(shuffled.table["path"]) == sorted(plain.table["path"])
    pixels = dict(zip(plain.table["path"], plain.images, strict=True))
    for unit, label in enumerate(shuffled.labels):
        rows = shuffled.table.iloc[shuffled.first[unit] : shuffled.first[unit + 1]]
        if by != "image":
            assert len(rows) == 2
        assert len(rows.groupby(["body_part", "patient", "study"])) == 1
        assert label == rows["label"].max()
        for image, path in zip(shuffled.unit(unit), rows["path"], strict=True):
            np.testing.assert_array_equal(image, pixels[path])


def test_an_unknown_unit_is_refused(mura, folder):
    with pytest.raises(UsageError, match="by='slice' is not one of image, study"):
        extract(mura, folder, by="slice")


def test_as_a_tensorflow_pipeline(mura, folder):
    every = extract(mura, folder, square=Square(32), by="study", shuffle_seed=1)
    batches = list(every.as_dataset(batch_size=20).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [20, 20, 20, 20]
    images = np.concatenate([images for images, _ in batches])
    np.testing.assert_array_equal(images[..., 0], every.images)
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels[:, 0], every.table["label"])


# Data that names no split ------------------------------------------------------------------------


def write_unsplit(folder: Path, patients: int) -> Path:
    """Write a data set whose manifest names no split, with two body parts."""
    rows = []
    for number in range(patients):
        for part in ("HAND", "FOOT")[: 1 + number % 2]:
            path = f"{part}/{number}.png"
            write_image(folder / path, np.full((4, 4), number, np.uint8))
            rows.append((path, part, f"p{number}", "s", number % 3 == 0))
    table = pd.DataFrame(rows, columns=["path", "body_part", "patient", "study", "label"])
    table.astype({"label": int}).to_csv(folder / "manifest.csv", index=False)
    return folder


@settings(max_examples=15, deadline=None)
@given(patients=st.integers(10, 60), part=st.sampled_from([None, "hand", "foot"]), data=st.data())
def test_a_run_and_an_extraction_of_the_same_data_have_the_same_split(
    tmp_path_factory, patients, part, data
):
    folder = write_unsplit(tmp_path_factory.mktemp("unsplit"), patients)
    seed = data.draw(st.sampled_from([{}, {"seed": 7}]))
    config = RunConfig(data=str(folder), body_part=() if part is None else (part,), **seed)
    table = open_data(config.data, config.body_part, config.seed).table
    for split in ("train", "valid"):
        extracted = extract(folder, folder / "cache", body_part=part, split=split,
                            square=Square(4), standardise=False, **seed)  # fmt: skip
        paths = table["path"][table["split"] == split]
        assert sorted(extracted.table["path"]) == sorted(paths)


def test_the_command_line_deals_as_the_library_does(tmp_path):
    folder = write_unsplit(tmp_path / "data", 60)
    mura_run("prepare", "--data", folder, "--size", 4, "--csv-by-part", tmp_path / "parts")
    trained = {
        line
        for path in (tmp_path / "parts").glob("train_*.csv")
        for line in path.read_text().splitlines()
    }
    extracted = extract(folder, tmp_path / "cache", square=Square(4), standardise=False)
    assert set(extracted.table["path"]) == trained
    manifest = read_manifest(folder)
    assert set(manifest.of(split="train").table["path"]) == trained
    # Another seed deals otherwise, so equal splits are no accident.
    assert set(read_manifest(folder, 0).of(split="train").table["path"]) != trained
    assert RunConfig().seed == DEFAULT_SEED
