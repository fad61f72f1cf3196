"""Layouts, labels, counts, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_sets import write_image

from mura_core.data import COLUMNS, count, read_manifest, write_csv_by_part
from mura_core.data.splits import hold_out
from mura_core.errors import DataError, UsageError

PIXELS = np.zeros((4, 4), np.uint8)


def append(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line + "\n")


def refused(data: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(data)
    assert "\n" not in str(caught.value)


def test_mura_layout_is_read_from_above_and_from_within(mura: Path):
    above, within = read_manifest(mura), read_manifest(mura / "MURA-v1.1")
    pd.testing.assert_frame_equal(above.table, within.table)
    assert list(above.table) == COLUMNS
    assert all((above.folder / path).is_file() for path in above.table["path"])
    row = above.table.iloc[0]
    assert row.to_dict() == {
        "path": "train/XR_ELBOW/patient00000/study1_negative/image1.png",
        "body_part": "XR_ELBOW",
        "patient": "patient00000",
        "study": "study1",
        "label": 0,
        "split": "train",
    }


def test_one_person_under_two_parts_is_counted_once(mura: Path):
    counts = count(read_manifest(mura).table)
    whole = counts[counts["body_part"] == "ALL"]
    # 40 patients with an elbow study of two images; the 14 of every third have a wrist study too.
    assert whole[["images", "studies", "patients"]].sum().tolist() == [108, 54, 40]
    elbows = counts[counts["body_part"] == "XR_ELBOW"]
    assert elbows[["images", "studies", "patients"]].sum().tolist() == [80, 40, 40]


def test_a_header_row_and_a_renamed_folder_change_nothing(own_mura: Path):
    expected = read_manifest(own_mura).table
    root = (own_mura / "MURA-v1.1").rename(own_mura / "MURA renamed")
    for name in ("train_image_paths.csv", "train_labeled_studies.csv"):
        header = "Path\n" if "paths" in name else "Study,Label\n"
        (root / name).write_text(header + (root / name).read_text())
    pd.testing.assert_frame_equal(read_manifest(own_mura).table, expected)


def test_the_csv_decides_the_label_not_the_folders_name(own_mura: Path):
    labels = own_mura / "MURA-v1.1" / "train_labeled_studies.csv"
    study = "MURA-v1.1/train/XR_ELBOW/patient00000/study1_negative/"
    labels.write_text(labels.read_text().replace(f"{study},0", f"{study},1"))
    table = read_manifest(own_mura).table
    relabelled = table[table["path"].str.contains("XR_ELBOW/patient00000/")]
    assert relabelled["label"].tolist() == [1, 1]


def test_without_csvs_the_study_folders_give_the_labels(own_mura: Path):
    expected = read_manifest(own_mura).table
    for path in (own_mura / "MURA-v1.1").glob("*.csv"):
        path.unlink()
    found = read_manifest(own_mura).table
    found["path"] = found["path"].str.removeprefix("MURA-v1.1/")
    pd.testing.assert_frame_equal(found, expected)


def test_a_plain_csv_is_read_under_any_name(own_mura: Path):
    manifest = read_manifest(own_mura)
    for name in ("manifest.csv", "anything.csv"):
        manifest.table.to_csv(manifest.folder / name, index=False)
    pd.testing.assert_frame_equal(read_manifest(manifest.folder).table, manifest.table)
    pd.testing.assert_frame_equal(
        read_manifest(manifest.folder / "anything.csv").table, manifest.table
    )


def test_without_a_split_whole_patients_are_held_out(mura: Path, tmp_path: Path):
    table = read_manifest(mura).table.drop(columns="split")
    table.to_csv(tmp_path / "images.csv", index=False)
    split = read_manifest(tmp_path / "images.csv", seed=3).table
    assert set(split["split"]) == {"train", "valid"}
    assert len(split[["patient", "split"]].drop_duplicates()) == len(split["patient"].unique())
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "images.csv", seed=3).table, split)
    with pytest.raises(DataError, match="3 patients are too few"):
        hold_out(table[table["patient"].isin(table["patient"].unique()[:3])], seed=0)


def test_counts_equal_an_independent_count_on_random_manifests():
    random = np.random.default_rng(0)
    for _ in range(20):
        n = 300
        table = pd.DataFrame(
            {
                "path": [f"{i}.png" for i in range(n)],
                "body_part": random.choice(["A", "B", "C"], n),
                "patient": random.integers(0, 60, n).astype(str),
                "study": random.integers(0, 3, n).astype(str),
                "label": random.integers(0, 2, n),
                "split": random.choice(["train", "valid"], n),
            }
        )
        for row in count(table).to_dict("records"):
            chosen = [
                r
                for r in table.to_dict("records")
                if r["split"] == row["split"]
                and r["label"] == row["label"]
                and row["body_part"] in ("ALL", r["body_part"])
            ]
            assert row["images"] == len(chosen)
            assert row["patients"] == len({r["patient"] for r in chosen})
            studies = {(r["body_part"], r["patient"], r["study"]) for r in chosen}
            assert row["studies"] == len(studies)


def test_path_files_by_part_have_muras_form(mura: Path, tmp_path: Path):
    manifest = read_manifest(mura)
    written = write_csv_by_part(manifest, tmp_path / "parts")
    assert sorted(path.name for path in written) == [
        "train_XR_ELBOW_image_paths.csv",
        "train_XR_WRIST_image_paths.csv",
        "valid_XR_ELBOW_image_paths.csv",
        "valid_XR_WRIST_image_paths.csv",
    ]
    lines = [line for path in written for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(manifest.table["path"])


def test_body_parts_are_named_as_people_say_them(mura: Path):
    manifest = read_manifest(mura)
    for name in ("XR_ELBOW", "elbow", "Elbow"):
        assert set(manifest.of([name]).table["body_part"]) == {"XR_ELBOW"}
    with pytest.raises(UsageError, match="'knee' is not one of XR_ELBOW, XR_WRIST"):
        manifest.of(["knee"])


def test_what_is_missing_or_empty_is_refused(tmp_path: Path, own_mura: Path):
    refused(tmp_path / "nowhere", "no such file or folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no radiographs found")
    root = own_mura / "MURA-v1.1"
    (root / "train_labeled_studies.csv").rename(root / "elsewhere.csv")
    refused(own_mura, r"train_labeled_studies\.csv: no such file")


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "MURA-v1.1/train/../../../x/y/z/w/i.png", "a\\b"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(own_mura: Path, path: str):
    paths = own_mura / "MURA-v1.1" / "train_image_paths.csv"
    append(paths, path)
    last = len(paths.read_text().splitlines())
    refused(own_mura, rf"train_image_paths\.csv: line {last}: .*is not a path in the data folder")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("MURA-v1.1/train/XR_ELBOW/patient99999/study1_positive/image1.png", "has no label"),
        ("XR_ELBOW/image1.png", "is not <split>/<body part>/<patient>/<study>/<image>"),
    ],
)
def test_a_path_without_label_or_shape_is_refused(own_mura: Path, line: str, message: str):
    append(own_mura / "MURA-v1.1" / "train_image_paths.csv", line)
    refused(own_mura, message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("MURA-v1.1/train/XR_ELBOW/patient00001/study9_positive/,yes", "label 'yes' is not 0"),
        (
            "MURA-v1.1/train/XR_ELBOW/patient00001/study1_positive/,0",
            "has the label 1 in a line above",
        ),
        ("MURA-v1.1/train/XR_ELBOW/patient00001/study1_positive/", "expected a study's path"),
    ],
)
def test_a_wrong_label_is_refused(own_mura: Path, line: str, message: str):
    append(own_mura / "MURA-v1.1" / "train_labeled_studies.csv", line)
    refused(own_mura, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.png,1\n", "missing: body_part, patient, study"),
        ("path,body_part,patient,study,label\na.png,HAND,p1,s1\n", "line 2: 4 fields"),
        ("path,body_part,patient,study,label\na.png,,p1,s1,1\n", "line 2: body_part is empty"),
        ("path,body_part,patient,study,label\na.png,H,p,s,2\n", "line 2: the label '2'"),
        ("path,body_part,patient,study,label,split\na.png,H,p,s,1,test\n", "split 'test'"),
        ("path,body_part,patient,study,label,split\na.png,H,p,s,1,dev\n", "'dev' in the column"),
        (
            "path,body_part,patient,study,label,split\na.png,H,p,s,1,train\nb.png,H,p,t,0,valid\n",
            "1 patients are in both splits, for example p",
        ),
        (
            "path,body_part,patient,study,label,split\na.png,H,p,s,1,train\na.png,H,p,t,0,train\n",
            r"a\.png is listed",
        ),
        ("", "no radiographs|must name the columns"),
    ],
)
def test_a_wrong_plain_csv_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "manifest.csv").write_text(content)
    refused(tmp_path, message)


def test_a_csv_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00path")
    refused(tmp_path, re.escape("is not a CSV file in UTF-8"))


def test_an_image_outside_a_labelled_study_is_refused(tmp_path: Path):
    write_image(tmp_path / "XR_HAND" / "patient1" / "study1" / "image1.png", PIXELS)
    refused(tmp_path, "must end in _positive or _negative")


def test_two_data_sets_in_one_folder_are_refused(own_mura: Path):
    other = own_mura / "MURA-v1.2"
    other.mkdir()
    (other / "train_image_paths.csv").touch()
    refused(own_mura, r"contains several data sets \(MURA-v1\.1, MURA-v1\.2\)")


def test_real_radiographs_in_muras_layout(real_data: Path):
    manifest = read_manifest(real_data / "fracatlas")
    counts = count(manifest.table)
    assert counts["images"][counts["body_part"] == "ALL"].sum() == 2198
    assert len(manifest.table["body_part"].unique()) == 5
