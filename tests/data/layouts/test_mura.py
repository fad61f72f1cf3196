"""MURA's CSV files, whole and in part: they rule over the names of folders."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_image, write_mura

from mura_core.data import read_manifest
from mura_core.errors import DataError

ROOT = "MURA-v1.1"


def relabel(root: Path, study: str, label: int) -> None:
    labels = root / "train_labeled_studies.csv"
    line = f"{ROOT}/train/{study}/"
    before = [text for text in labels.read_text().splitlines() if text.startswith(line)]
    labels.write_text(labels.read_text().replace(before[0], f"{line},{label}"))


def version_1_0(root: Path, *, studies: bool = False) -> None:
    """Replace MURA 1.1's CSV files by those of 1.0."""
    for split in ("train", "valid"):
        labels = dict(
            line.rsplit(",", 1)
            for line in (root / f"{split}_labeled_studies.csv").read_text().splitlines()
        )
        paths = (root / f"{split}_image_paths.csv").read_text().splitlines()
        lines = [f"{path},{labels[path.rpartition('/')[0] + '/']}" for path in paths]
        if studies:
            lines = [f"{study},{label}" for study, label in labels.items()]
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
        (root / f"{split}_labeled_studies.csv").unlink()
        (root / f"{split}_image_paths.csv").unlink()


@pytest.mark.parametrize("studies", [False, True])
def test_version_1_0_is_read_like_1_1(own_mura, studies):
    expected = read_manifest(own_mura).table
    version_1_0(own_mura / ROOT, studies=studies)
    pd.testing.assert_frame_equal(read_manifest(own_mura).table, expected)


def test_without_lists_of_images_the_labels_are_those_of_the_csv(own_mura):
    root = own_mura / ROOT
    relabel(root, "XR_ELBOW/patient00000/study1_negative", 1)
    expected = read_manifest(own_mura).table
    for split in ("train", "valid"):
        (root / f"{split}_image_paths.csv").unlink()
    manifest = read_manifest(own_mura)
    pd.testing.assert_frame_equal(manifest.table, expected)
    assert manifest.contradictions["path"].tolist() == [
        f"train/XR_ELBOW/patient00000/study1_negative/image{n}.png" for n in (1, 2)
    ]


def test_a_study_without_a_label_is_refused_and_one_without_images_named(own_mura):
    root = own_mura / ROOT
    for split in ("train", "valid"):
        (root / f"{split}_image_paths.csv").unlink()
    labels = root / "train_labeled_studies.csv"
    lines = labels.read_text().splitlines()
    labels.write_text("\n".join([*lines, f"{ROOT}/train/XR_ELBOW/patient9/study1_negative/,0"]))
    assert "1 of 41 studies have no images" in " ".join(read_manifest(own_mura).notes)
    labels.write_text("\n".join(lines[1:]))
    with pytest.raises(DataError, match="its study has no label in train_labeled_studies"):
        read_manifest(own_mura)


def test_a_missing_list_of_images_is_named_where_others_are_there(own_mura):
    (own_mura / ROOT / "valid_image_paths.csv").unlink()
    manifest = read_manifest(own_mura)
    assert set(manifest.table["split"]) == {"train"}
    assert "valid_labeled_studies.csv isn't used" in " ".join(manifest.notes)


def test_contradictions_are_counted_and_listed(own_mura, tmp_path):
    relabel(own_mura / ROOT, "XR_ELBOW/patient00000/study1_negative", 1)
    manifest = read_manifest(own_mura)
    assert manifest.contradictions.to_dict("list") == {
        "path": [f"train/XR_ELBOW/patient00000/study1_negative/image{n}.png" for n in (1, 2)],
        "label": [1, 1],
        "reason": ["the folder study1_negative says normal"] * 2,
    }
    done = mura_run("prepare", "--data", own_mura, "--size", 8)
    assert "2 images have a label that contradicts their folder's name" in done.stderr
    assert mura_run("prepare", "--data", own_mura, "--body-part", "wrist").stderr == ""
    run = tmp_path / "run"
    done = mura_run(
        "train", "--data", own_mura, "--model", "conv2", "--size", 16, "--epochs", 1, "--out", run
    )
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(run / "contradictions.csv")) == 2
    assert "2 images have a label that contradicts" in (run / "report.html").read_text()


def test_csv_files_may_lie_next_to_the_folder(own_mura):
    expected = read_manifest(own_mura).table
    for path in (own_mura / ROOT).glob("*.csv"):
        path.rename(own_mura / path.name)
    above, within = read_manifest(own_mura), read_manifest(own_mura / ROOT)
    pd.testing.assert_frame_equal(within.table, expected)
    assert "next to the folder" in " ".join(within.notes)
    assert (above.table["path"] == f"{ROOT}/" + expected["path"]).all()
    assert all((above.folder / path).is_file() for path in above.table["path"])


def test_backslashes_and_a_byte_order_mark_change_nothing(own_mura):
    expected = read_manifest(own_mura).table
    for path in (own_mura / ROOT).glob("*.csv"):
        path.write_text("\ufeff" + path.read_text().replace("/", "\\"), encoding="utf-8")
    pd.testing.assert_frame_equal(read_manifest(own_mura).table, expected)


@pytest.mark.parametrize("split", ["test", "Testing"])
def test_a_third_split_is_read(tmp_path, split):
    data = write_mura(tmp_path)
    root = data / ROOT
    expected = read_manifest(data).table.groupby("split").size()
    for kind in ("image_paths", "labeled_studies"):
        text = (root / f"valid_{kind}.csv").read_text()
        (root / f"{split}_{kind}.csv").write_text(
            text.replace("/valid/", f"/{split}/").replace("/patient0", "/patient9")
        )
    found = read_manifest(data).table.groupby("split").size()
    assert found.to_dict() == {**expected.to_dict(), "test": expected["valid"]}


def test_dates_and_series_keep_patient_and_study(tmp_path):
    data = write_mura(tmp_path)
    root = data / ROOT
    expected = read_manifest(data).table
    for path in root.glob("*.csv"):
        text = path.read_text().replace("/study1", "/2018-05-03/study1")
        path.write_text(text.replace("/image", "/series1/image"))
    table = read_manifest(data).table
    assert table["patient"].tolist() == expected["patient"].tolist()
    assert table["body_part"].tolist() == expected["body_part"].tolist()
    assert table["label"].tolist() == expected["label"].tolist()
    assert set(table["study"]) == {"2018-05-03/study1"}
    paths = expected["path"].str.replace("/study1", "/2018-05-03/study1")
    assert table["path"].tolist() == paths.str.replace("/image", "/series1/image").tolist()


def test_a_patient_in_the_wrong_place_is_refused(own_mura):
    root = own_mura / ROOT
    for path in root.glob("*.csv"):
        path.write_text(path.read_text().replace("/patient", "/2018-05-03/patient"))
    with pytest.raises(DataError, match=r"'patient\d+' lies where .* understood '2018-05-03'"):
        read_manifest(own_mura)


def test_images_outside_the_labelled_splits_are_named(own_mura):
    root = own_mura / ROOT
    for split in ("train", "valid"):
        (root / f"{split}_image_paths.csv").unlink()
    shutil.copytree(root / "train" / "XR_WRIST", root / "extra" / "XR_WRIST")
    notes = " ".join(read_manifest(own_mura).notes)
    assert "images are in no labelled split's folder and aren't used" in notes


def test_a_users_own_train_csv_is_not_version_1_0(tmp_path):
    (tmp_path / "train.csv").write_text("path,label\nHAND/p1/study1_positive/1.png,1\n")
    for number in range(6):
        label = ("negative", "positive")[number % 2]
        image = tmp_path / "HAND" / f"p{number}" / f"study1_{label}" / "1.png"
        write_image(image, pd.DataFrame([[0, 1], [2, 3]]).to_numpy("uint8"))
    assert len(read_manifest(tmp_path).table) == 6
