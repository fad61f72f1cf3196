"""A split that the user named is used as it is, however it is spelled, or refused."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_image

from mura_core.data import Manifest, read_manifest, trainings
from mura_core.errors import DataError

PIXELS = np.zeros((4, 4), np.uint8)
TRAIN = ("train", "Train", "TRAINING", "training_set", "train-data")
VALID = ("valid", "Valid", "VAL", "validation", "Validation Set")
TEST = ("test", "TEST", "Testing", "test_images")


def write_folders(folder: Path, *patterns: str, patients: int = 6) -> Path:
    """Write images of several patients in each of some folders, which hold `{patient}`."""
    for number, pattern in enumerate(patterns):
        for patient in range(patients):
            label = ("negative", "positive")[patient % 2]
            path = pattern.format(patient=f"patient{number}{patient}")
            write_image(folder / path / f"study1_{label}" / "image1.png", PIXELS)
    return folder


def by_first(manifest: Manifest) -> dict[str, str]:
    """Return the split of each outermost folder."""
    table = manifest.table.assign(first=manifest.table["path"].str.split("/").str[0])
    return table.groupby("first")["split"].agg(lambda split: "+".join(sorted(set(split)))).to_dict()


def csv_of(folder: Path, column: str, values: tuple[str, ...], patients: int = 6) -> Path:
    rows = [
        (f"{value}{n}.png", "HAND", f"{value}{n}", "s", n % 2, value)
        for value in values
        for n in range(patients)
    ]
    names = ["path", "body_part", "patient", "study", "label", column]
    pd.DataFrame(rows, columns=names).to_csv(folder / "images.csv", index=False)
    return folder / "images.csv"


@pytest.mark.parametrize(("train", "valid"), list(product(TRAIN, VALID)))
def test_folders_of_splits_have_any_case_and_usual_spelling(tmp_path, train, valid):
    manifest = read_manifest(
        write_folders(tmp_path, f"{train}/HAND/{{patient}}", f"{valid}/HAND/{{patient}}")
    )
    assert by_first(manifest) == {train: "train", valid: "valid"}
    assert set(manifest.table["body_part"]) == {"HAND"}
    assert manifest.table["patient"].str.startswith("patient").all()
    assert manifest.names_split


@pytest.mark.parametrize(
    "pattern",
    [
        "{split}/HAND/{{patient}}",
        "HAND/{split}/{{patient}}",
        "HAND/{{patient}}/{split}",
        "data/{split}/HAND/{{patient}}",
        "data/{split}/v2/HAND/{{patient}}",
    ],
)
def test_the_folder_of_a_split_may_be_at_any_level_above_the_study(tmp_path, pattern):
    patterns = [pattern.format(split=split) for split in ("Train", "Val", "Test")]
    table = read_manifest(write_folders(tmp_path, *patterns)).table
    assert table.groupby("split").size().to_dict() == {"test": 6, "train": 6, "valid": 6}
    assert set(table["body_part"]) == {"HAND"}
    assert set(table["patient"]) == {f"patient{s}{n}" for s in range(3) for n in range(6)}
    for split, number in (("train", 0), ("valid", 1), ("test", 2)):
        of_split = table[table["split"] == split]
        assert of_split["patient"].str.startswith(f"patient{number}").all()


@pytest.mark.parametrize("column", ["split", "Split", "SPLIT", "set", "Set", "Subset", "partition"])
@pytest.mark.parametrize("test", TEST)
def test_columns_of_splits_have_any_case_and_usual_name(tmp_path, column, test):
    table = read_manifest(csv_of(tmp_path, column, ("Training", "VAL", test))).table
    assert table.groupby("split")["patient"].agg(lambda p: p.str[:3].iloc[0]).to_dict() == {
        "train": "Tra",
        "valid": "VAL",
        "test": test[:3],
    }


def test_a_column_of_another_name_that_holds_splits_is_used_and_named(tmp_path):
    manifest = read_manifest(csv_of(tmp_path, "cohort", ("train", "val")))
    assert manifest.table.groupby("split").size().to_dict() == {"train": 6, "valid": 6}
    assert "'cohort' is used as the split" in " ".join(manifest.notes)


def test_a_column_of_another_name_that_is_empty_in_some_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 14: the column 'cohort' is empty"):
        read_manifest(csv_of(tmp_path, "cohort", ("train", "val", "")))


def test_test_plays_the_part_of_valid_where_there_is_none(tmp_path):
    manifest = read_manifest(write_folders(tmp_path, "TRAIN/HAND/{patient}", "TEST/HAND/{patient}"))
    assert by_first(manifest) == {"TRAIN": "train", "TEST": "valid"}
    assert "test images are used for validation" in " ".join(manifest.notes)


def test_a_run_with_folds_keeps_the_only_test_images_for_the_end(tmp_path):
    data = write_folders(tmp_path, "TRAIN/HAND/{patient}", "TEST/HAND/{patient}")
    manifest = read_manifest(data, split=False)
    assert by_first(manifest) == {"TRAIN": "train", "TEST": "test"}
    assert "unless it holds out training patients" in " ".join(manifest.notes)


@pytest.mark.parametrize(
    "other", ["dev", "holdout", "Hold-Out", "fold1", "extra", "test_2019", "my train", "Dev_Set"]
)
def test_a_folder_that_is_no_split_is_refused_by_name(tmp_path, other):
    data = write_folders(tmp_path, "train/HAND/{patient}", f"{other}/HAND/{{patient}}")
    with pytest.raises(
        DataError, match=f"the folder '{other}' is not the name of a split"
    ) as error:
        read_manifest(data)
    assert "train, training, val, valid, validation, test, testing" in str(error.value)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("dev/HAND/{patient}", "holdout/HAND/{patient}"), "'dev' is not the name of a split"),
        (
            ("train_A/HAND/{patient}", "test_A/HAND/{patient}"),
            "'test_A' is not the name of a split",
        ),
        (("HAND/dev/{patient}", "HAND/holdout/{patient}"), "'dev' is not the name of a split"),
        (("train/test/HAND/{patient}", "test/HAND/{patient}"), "'train' and 'test' are both"),
        (("here/HAND/{patient}", "there/HAND/{patient}"), "'here' lies above the body part 'HAND'"),
    ],
)
def test_levels_that_are_not_understood_are_refused(tmp_path, patterns, message):
    with pytest.raises(DataError, match=message) as error:
        read_manifest(write_folders(tmp_path, *patterns))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("train", "dev"), "line 8: 'dev' in the column 'Split' is not a split"),
        (("train", "holdout"), "'holdout' in the column 'Split' is not a split"),
        (("train", ""), "line 8: the column 'Split' is empty"),
    ],
)
def test_a_value_that_is_no_split_is_refused_with_the_columns_name(tmp_path, values, message):
    with pytest.raises(DataError, match=message) as error:
        read_manifest(csv_of(tmp_path, "Split", values))
    assert "accepted are train, training" in str(error.value)


def test_a_split_that_is_dealt_by_seed_is_said(tmp_path):
    data = write_folders(tmp_path, "HAND/{patient}", patients=10)
    manifest = read_manifest(data, seed=7)
    assert not manifest.names_split
    assert "2 of 10 patients" in manifest.notes[0]
    assert "by seed 7" in manifest.notes[0]
    done = mura_run("prepare", "--data", data, "--size", 8, "--seed", 7)
    assert "dealt to validation by seed 7" in done.output


@pytest.mark.parametrize("validate", ["split", "holdout", "kfold"])
@pytest.mark.parametrize("tunes", [False, True])
def test_test_images_are_in_no_training(tmp_path, validate, tunes):
    patterns = [f"{split}/HAND/{{patient}}" for split in ("train", "valid", "test")]
    table = read_manifest(write_folders(tmp_path, *patterns, patients=24)).table
    tested = table["split"] == "test"
    divided = trainings(
        table, validate, proportion=0.8, folds=3, seed=0, tunes=tunes, names_split=True
    )
    for training in divided:
        assert (training.table["split"][tested] == "test").all()
        assert not (training.table["split"][~tested] == "test").any()
        by_seed = training.table["split_by"] == "seed 0"
        dealt = training.table["split"] == "tune"
        if validate != "split":
            dealt |= table["split"] == "train"
        assert (by_seed == dealt).all()
