"""Class folders: labels by `--positive`, which the refusal asks for by name."""

import numpy as np
import pytest
from command_line import mura_run, refused
from data_sets import write_image

from mura_core.data import Reading, read_manifest
from mura_core.errors import DataError

PIXELS = np.zeros((4, 4), np.uint8)


def write(folder, *patterns, count=6):
    """Write images of several patients for each pattern, which may hold `{n}`."""
    for number, pattern in enumerate(patterns):
        for n in range(count):
            path = pattern.format(n=n if "{n}" in pattern else "")
            write_image(folder / f"{path}/{number}-{n}.png", PIXELS)
    return folder


def read(folder, *positive):
    return read_manifest(folder, reading=Reading(positive=positive))


def test_labels_are_named_by_positive(tmp_path):
    manifest = read(write(tmp_path, "fracture", "normal", "plaster"), "Fracture")
    labels = manifest.table.assign(of=manifest.table["path"].str.split("/").str[0])
    assert labels.groupby("of")["label"].unique().map(list).to_dict() == {
        "fracture": [1],
        "normal": [0],
        "plaster": [0],
    }
    said = " ".join(manifest.notes)
    assert (
        "'fracture' (6 images) abnormal, 'normal' (6 images), 'plaster' (6 images) normal" in said
    )
    assert "18 images lie directly in a class folder: each counts as a patient" in said
    assert manifest.table["patient"].nunique() == 18
    both = read(tmp_path, "fracture", "plaster").table
    assert both["label"].sum() == 12


@pytest.mark.parametrize("splits", [("train", "val"), ("Train", "Valid", "TEST")])
@pytest.mark.parametrize("pattern", ["{split}/{label}", "{label}/{split}", "data/{split}/{label}"])
def test_a_split_may_lie_above_or_below_the_classes(tmp_path, splits, pattern):
    patterns = [
        pattern.format(split=split, label=label)
        for split in splits
        for label in ("broken", "whole")
    ]
    table = read(write(tmp_path, *patterns), "broken").table
    assert table.groupby(["split", "label"]).size().tolist() == [6] * (2 * len(splits))


@pytest.mark.parametrize(
    ("normal", "abnormal"), [("normal", "Abnormal"), ("negative", "positive"), ("0", "1")]
)
def test_usual_words_need_no_positive(tmp_path, normal, abnormal):
    table = read(write(tmp_path, f"train/{normal}", f"train/{abnormal}", f"val/{normal}")).table
    assert (
        table["label"].tolist() == table["path"].str.contains(f"/{abnormal}/").astype(int).tolist()
    )


def test_body_part_patient_and_study_are_folders_around_the_class(tmp_path):
    patterns = [f"{part}/{label}/p{{n}}/s1" for part in ("HAND", "KNEE") for label in ("a", "b")]
    table = read(write(tmp_path, *patterns), "a").table
    assert set(table["body_part"]) == {"HAND", "KNEE"}
    assert set(table["patient"]) == {f"p{n}" for n in range(6)}
    assert set(table["study"]) == {"s1"}


def test_a_person_in_two_classes_is_on_one_side(tmp_path):
    manifest = read(write(tmp_path, "broken/p{n}", "whole/p{n}", count=20), "broken")
    assert "40 images lie directly in a patient's folder" in " ".join(manifest.notes)
    table = manifest.table
    assert table["patient"].nunique() == 20
    assert (table.groupby("patient")["split"].nunique() == 1).all()


def test_the_refusal_asks_for_positive_by_name(tmp_path):
    data = write(tmp_path, "normal_bone", "fractured")
    with pytest.raises(DataError) as error:
        read(data)
    assert "the folders 'fractured', 'normal_bone' are classes" in str(error.value)
    assert "--positive fractured" in str(error.value)
    message = "--positive 'x' is not one of the class folders"
    refused(1, message, "prepare", "--data", data, "--positive", "x")
    done = mura_run("prepare", "--data", data, "--positive", "fractured", "--size", 4)
    assert "'fractured' (6 images) abnormal" in done.output


@pytest.mark.parametrize(
    ("patterns", "positive", "message"),
    [
        (("train/a", "train/b", "dev/a"), "a", "'dev' is not the name of a split"),
        (("train_1/a", "test_1/b"), "a", "'test_1' is not the name of a split"),
        (("x/HAND/a", "y/HAND/b"), "a", "the folders 'x', 'y' aren't understood"),
        (("train/a", "val/b", "a"), "a", "'a' is not the name of a split"),
        (("x/a/p1", "x/b", "x"), "a", "lies in no class folder"),
        (("HAND/p{n}/s1_positive", "HAND/q{n}/s1_negative"), "p1", "is for class folders"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, patterns, positive, message):
    with pytest.raises(DataError, match=message) as error:
        read(write(tmp_path, *patterns), positive)
    assert "\n" not in str(error.value)


def test_classes_and_patients_that_begin_like_splits_are_none(tmp_path):
    table = read(write(tmp_path, "valgus/Test{n}", "varus/train{n}"), "valgus").table
    assert table["label"].sum() == 6
    assert table["patient"].nunique() == 12


def test_labelled_studies_are_no_classes(tmp_path):
    labels = ("positive", "negative", "positive", "negative", "negative")
    patterns = [
        f"{part}/{n}/{label}" for part in ("HAND", "KNEE") for n, label in enumerate(labels, 1)
    ]
    table = read(write(tmp_path, *patterns, count=1)).table
    assert set(table["patient"]) == set("12345")
    assert set(table["body_part"]) == {"HAND", "KNEE"}


@pytest.mark.parametrize("option", [("--positive", "1"), ("--columns", "path=file")])
def test_options_that_have_no_use_are_refused(mura, option):
    refused(1, f"{option[0]} ", "prepare", "--data", mura, *option)
