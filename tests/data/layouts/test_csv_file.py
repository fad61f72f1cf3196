"""A user's own CSV: any separator, columns and words for labels; messages name what was found."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_image
from hypothesis import given, settings
from hypothesis import strategies as st

from mura_core.data import Reading, prepare, read_manifest
from mura_core.errors import DataError, MuraError
from mura_core.imaging import Square

FULL = ["path", "body_part", "patient", "study", "label"]


def table(count: int = 10, folder: str = "") -> pd.DataFrame:
    rows = [(f"{folder}{n}.png", "HAND", f"p{n}", "s1", n % 2) for n in range(count)]
    return pd.DataFrame(rows, columns=FULL)


def write(path: Path, of_rows: pd.DataFrame, separator: str = ",", bom: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    of_rows.to_csv(path, index=False, sep=separator, encoding="utf-8-sig" if bom else "utf-8")
    return path


def write_images(folder: Path, paths: list[str]) -> None:
    for number, path in enumerate(paths):
        write_image(folder / path, np.full((4, 4), number, np.uint8))


def read(path: Path, **reading) -> pd.DataFrame:
    return read_manifest(path, reading=Reading(**reading)).table.sort_values("path")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("change", [str.upper, str.title, lambda name: name.replace("_", " ")])
def test_separator_case_and_byte_order_mark_dont_matter(tmp_path, separator, bom, change):
    expected = read(write(tmp_path / "plain.csv", table()))
    changed = table().rename(columns=change)
    found = read(write(tmp_path / "changed.csv", changed, separator, bom))
    pd.testing.assert_frame_equal(found, expected)


def test_columns_are_named(tmp_path):
    expected = read(write(tmp_path / "plain.csv", table()))
    names = {"path": "filename", "label": "fractured", "patient": "pid"}
    path = write(tmp_path / "other.csv", table().rename(columns=names))
    columns = ",".join(f"{column}={name}" for column, name in names.items())
    pd.testing.assert_frame_equal(read(path, columns=columns), expected)
    done = mura_run("manifest", path, "--columns", columns)
    assert done.exit_code == 0, done.output


WORDS = [
    ("0", "1"),
    ("false", "true"),
    ("No", "YES"),
    ("normal", "Abnormal"),
    ("NEGATIVE", "positive"),
    ("0.0", "1.0"),
]


@pytest.mark.parametrize("words", WORDS)
def test_labels_are_the_usual_words(tmp_path, words):
    rows = table().assign(label=[words[n % 2] for n in range(10)])
    assert read(write(tmp_path / "a.csv", rows))["label"].tolist() == [0, 1] * 5


def test_positive_names_what_means_abnormal(tmp_path):
    values = ["healthy", "fracture", "Cast", "fracture", "healthy"] * 2
    path = write(tmp_path / "a.csv", table().assign(label=values))
    with pytest.raises(DataError, match=r"line 2: the label 'healthy' .*--positive 'healthy'"):
        read(path)
    found = read(path, positive=("FRACTURE", "cast"))
    assert found["label"].tolist() == [int(value != "healthy") for value in values]
    done = mura_run("manifest", path, "--positive", "fracture")
    line = "'fracture' (4 images) abnormal, 'healthy' (4 images), 'Cast' (2 images) normal."
    assert line in done.output
    refused(
        1, "--positive 'broken' is not one of the labels", "manifest", path, "--positive", "broken"
    )


def test_study_and_body_part_are_optional_and_that_is_said(tmp_path):
    path = write(tmp_path / "a.csv", table()[["path", "patient", "label"]])
    manifest = read_manifest(path)
    assert manifest.table["study"].tolist() == manifest.table["path"].tolist()
    assert set(manifest.table["body_part"]) == {"UNKNOWN"}
    said = " ".join(manifest.notes)
    assert "each image is a study of its own" in said
    assert "names no body part" in said
    assert "aren't used" not in said
    path = write(tmp_path / "c.csv", table().assign(age=40, is_test=0))
    assert "Columns that aren't used: 'age', 'is_test'." in read_manifest(path).notes
    path = write(tmp_path / "b.csv", table()[["path", "label"]])
    manifest = read_manifest(path, reading=Reading("patient=path"))
    assert manifest.table["patient"].nunique() == 10
    assert "Each image counts as a patient" in " ".join(manifest.notes)


@pytest.mark.parametrize(
    ("header", "separator", "columns", "parts"),
    [
        (
            "filename;fractured;pid",
            ";",
            "",
            [
                "'filename', 'fractured', 'pid', separated by a semicolon",
                "--columns path=filename,patient=pid,label=fractured",
            ],
        ),
        (
            "Image Path,Target,Patient ID",
            ",",
            "",
            ["a comma", "--columns path=Image Path,patient=Patient ID,label=Target"],
        ),
        (
            "path,label",
            ",",
            "",
            ["missing: body_part, patient, study", "--columns patient=path counts each image"],
        ),
        ("path|patient|label", "|", "", ["'path|patient|label', separated by a comma"]),
        (
            "path,patient,label",
            ",",
            "label=fracture",
            ["label=fracture: line 1 has no such column, but 'path', 'patient', 'label'"],
        ),
        ("path,patient,label", ",", "lable=x", ["--columns 'lable=x': expected pairs"]),
        ("path,patient,label", ",", "path", ["--columns 'path': expected pairs"]),
        ("path,patient,label,label", ",", "", ["names the column 'label' twice"]),
        (
            "path,patient,label,Set,subset",
            ",",
            "",
            ["'Set' and 'subset' may both be the split", "--columns split=Set"],
        ),
        ("path,patient,LABEL,Label", ",", "", ["'LABEL' and 'Label' may both be the label"]),
    ],
)
def test_messages_name_what_was_found(tmp_path, header, separator, columns, parts):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{separator.join(['a.png', 'p', '1', 'x', 'y'])}\n")
    with pytest.raises(MuraError) as error:
        read(path, columns=columns)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_the_shown_remedy_works(tmp_path):
    path = write(
        tmp_path / "a.csv", table().rename(columns={"path": "Image", "patient": "Subject"}), ";"
    )
    with pytest.raises(DataError) as error:
        read(path)
    columns = re.search(r"--columns (\S+)$", str(error.value))
    assert columns is not None
    assert len(read(path, columns=columns[1])) == 10


# Paths --------------------------------------------------------------------------------------------


def test_backslashes_are_understood(tmp_path):
    expected = read(write(tmp_path / "a.csv", table(folder="x/y/")))
    rows = table(folder="x\\y\\")
    pd.testing.assert_frame_equal(read(write(tmp_path / "b.csv", rows)), expected)


@pytest.mark.parametrize("name", ["images", "images/deeper"])
def test_a_csv_may_lie_next_to_the_folder_that_it_speaks_of(tmp_path, name):
    rows = table()
    write_images(tmp_path / name, rows["path"].tolist())
    path = write(tmp_path / "images.csv", rows)
    manifest = read_manifest(path)
    assert manifest.folder == tmp_path
    assert all((tmp_path / path).is_file() for path in manifest.table["path"])
    if name == "images":
        within = read_manifest(tmp_path / "images")
        assert within.folder == tmp_path / "images"
        assert sorted(within.table["path"]) == sorted(rows["path"])
        assert within.table["label"].sum() == 5


def test_files_may_be_named_without_suffix(tmp_path):
    rows = table()
    write_images(tmp_path / "a", rows["path"].tolist()[:5])
    write_images(tmp_path / "b", rows["path"].tolist()[5:])
    path = write(tmp_path / "list.csv", rows.assign(path=rows["path"].str.removesuffix(".png")))
    assert read(path)["path"].tolist() == [f"{'ab'[n > 4]}/{n}.png" for n in range(10)]
    write_images(tmp_path / "b", ["3.png"])
    with pytest.raises(DataError, match=r"line 5: '3' may be a/3\.png or b/3\.png"):
        read(path)


def test_absolute_paths_are_allowed_below_the_data(tmp_path):
    rows = table()
    inside, outside = tmp_path / "data", tmp_path / "elsewhere"
    write_images(inside, rows["path"].tolist())
    write_images(outside, rows["path"].tolist())
    below = rows.assign(path=str(inside) + "/" + rows["path"])
    assert read(write(inside / "a.csv", below))["path"].tolist() == rows["path"].tolist()
    path = write(inside / "b.csv", rows.assign(path=str(outside) + "/" + rows["path"]))
    with pytest.raises(
        DataError, match=r"b\.csv: line 2: .*not a path in the data.*--allow-outside"
    ):
        read(path)
    manifest = read_manifest(path, reading=Reading(allow_outside=True))
    assert "10 of 10 images are outside" in " ".join(manifest.notes)
    prepared = prepare(manifest, tmp_path / "cache", Square(4))
    assert sorted(prepared.images[:, 0, 0].tolist()) == list(range(10))
    done = mura_run("prepare", "--data", path, "--allow-outside", "--size", 4)
    assert "(--allow-outside)" in done.output


@pytest.mark.parametrize(
    "bad",
    [
        "../x.png",
        "a/../../x.png",
        r"C:\x\y.png",
        "C:/x.png",
        r"\\server\x.png",
        "/etc/passwd",
        "\0",
    ],
)
def test_a_path_that_leads_out_is_refused(tmp_path, bad):
    path = tmp_path / "data" / "a.csv"
    write(path, table(2).assign(path=["0.png", bad]))
    with pytest.raises(DataError, match=r"is not a path in the data folder|is not a CSV"):
        read(path)


# Several files, and the whole command -------------------------------------------------------------


def test_files_named_after_splits_give_the_split(tmp_path):
    for number, name in enumerate(("Train", "val", "test")):
        rows = table(folder=f"images/{number}-")
        rows["patient"] = f"{number}" + rows["patient"]
        write(tmp_path / f"{name}.csv", rows)
    assert read(tmp_path)["split"].tolist() == ["train"] * 10 + ["valid"] * 10 + ["test"] * 10


def test_the_only_csv_that_lists_images_is_read_and_named(tmp_path):
    write(tmp_path / "train.csv", table(10, "images/"))
    (tmp_path / "notes.csv").write_text("when,what\n1,2\n")
    manifest = read_manifest(tmp_path)
    assert len(manifest.table) == 10
    assert "The images are listed in" in " ".join(manifest.notes)
    write(tmp_path / "b.csv", table(10, "images/"))
    with pytest.raises(DataError, match=r"several CSV files list images \(b\.csv, train\.csv\)"):
        read_manifest(tmp_path)


def test_muras_own_csv_files_rule_over_others_in_the_folder(own_mura):
    expected = read_manifest(own_mura)
    write(own_mura / "MURA-v1.1" / "other.csv", expected.table.iloc[:20])
    pd.testing.assert_frame_equal(read_manifest(own_mura).table, expected.table)


def test_a_csv_in_a_folder_that_isnt_read_is_named(own_mura):
    root = own_mura / "MURA-v1.1"
    for path in root.glob("*.csv"):
        path.unlink()
    (root / "notes.csv").write_text("when,what\n1,2\n")
    notes = " ".join(read_manifest(root).notes)
    assert "notes.csv is not read" in notes


def test_what_was_probably_meant_is_named(tmp_path):
    write_images(tmp_path / "data" / "images", ["1.png"])
    (tmp_path / "data" / "labels.csv").write_text("ImageID;Frac;Pat\n1;yes;A\n")
    with pytest.raises(DataError, match=r"If labels\.csv lists the images: --data .*/labels\.csv"):
        read_manifest(tmp_path / "data")
    with pytest.raises(DataError, match="--columns path=ImageID,patient=Pat,label=Frac"):
        read_manifest(tmp_path / "data" / "labels.csv")
    with pytest.raises(DataError, match=r"1\.png: is an image; name the folder"):
        read_manifest(tmp_path / "data" / "images" / "1.png")


def test_a_config_repeats_how_the_data_was_read(tmp_path):
    rows = table(40).rename(columns={"path": "file", "label": "found"})
    rows["found"] = ["healthy", "broken"] * 20
    write_images(tmp_path, rows["file"].tolist())
    path = write(tmp_path / "list.csv", rows, ";")
    run = tmp_path / "run"
    options = ("--columns", "path=file,label=found", "--positive", "broken")
    small = ("--model", "conv2", "--size", 16, "--epochs", 1)
    done = mura_run("train", "--data", path, "--out", run, *options, *small)
    assert done.exit_code == 0, done.output
    assert "weren't drawn" not in done.output
    again = mura_run("train", "--config", run / "config.yaml", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    for name in ("splits.csv", "predictions.csv"):
        assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
names = st.sampled_from([*FULL, "split", "Set", "filename", "pid"])
values = st.sampled_from(["0", "1", "a.png", "train", "test"])


@settings(max_examples=150, deadline=None)
@given(
    header=st.lists(names | cells, max_size=7),
    rows=st.lists(st.lists(values | cells, max_size=7), max_size=5),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_any_csv_is_read_or_refused_in_one_line(tmp_path_factory, header, rows, separator):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    lines = [separator.join(header), *(separator.join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        found = read_manifest(path).table
    except DataError as error:
        message = str(error)
    else:
        message = ""
        assert set(found["split"]) <= {"train", "valid", "test"}
        assert found["label"].isin([0, 1]).all()
    assert len(message.splitlines()) <= 1


def test_labels_rule_over_folders_and_contradictions_are_listed(tmp_path):
    rows = table()
    rows["path"] = [f"study{n}_{('negative', 'positive')[n < 6]}/1.png" for n in range(10)]
    manifest = read_manifest(write(tmp_path / "a.csv", rows))
    assert manifest.table["label"].sum() == 5
    wrong = {f"study{n}_{'positive' if n < 6 else 'negative'}/1.png" for n in (0, 2, 4, 7, 9)}
    assert set(manifest.contradictions["path"]) == wrong
    first = manifest.contradictions.set_index("path").loc["study0_positive/1.png"]
    assert (first["label"], first["reason"]) == (0, "the folder study0_positive says abnormal")
