"""Images as arrays, as the report's extraction gave them."""

from pathlib import Path

import numpy as np
import pytest

from mura_core import Square, extract
from mura_core.errors import UsageError


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
    ("by", "units"), [("image", 48), ("study", 24), ("patient_within_part", 24)]
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
    assert [len(images) for images, _ in batches] == [20, 20, 8]
    images = np.concatenate([images for images, _ in batches])
    np.testing.assert_array_equal(images[..., 0], every.images)
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels[:, 0], every.table["label"])
