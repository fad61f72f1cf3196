"""Every file of a data set is an image of the manifest, or is counted under a reason."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_image

from mura_core import Square, extract, prepare, read_manifest
from mura_core.data import Manifest, installed_readers
from mura_core.errors import DataError, RadiographError
from mura_core.imaging import read_radiograph

PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4)
STUDY = "MURA-v1.1/train/XR_ELBOW/patient00000/study1_negative"


def reasons(manifest: Manifest) -> dict[str, str]:
    """Return the reasons of the files that are left out, by path relative to the manifest."""
    return {os.path.relpath(file.path, manifest.folder): file.reason for file in manifest.left_out}


def add_others(root: Path) -> dict[str, str]:
    """Add a file of each kind that isn't an image, and return the reasons to expect."""
    study = root / "train" / "XR_ELBOW" / "patient00000" / "study1_negative"
    expected = {
        "notes.txt": "is not a supported image format (.txt)",
        "scan.xyz": "is not a supported image format (.xyz)",
        "README": "has no suffix and not the content of an image",
        "._image1.png": "is hidden, or a file of an operating system",
        ".ipynb_checkpoints/image1.png": "is hidden, or a file of an operating system",
        "gone.png": "leads to a missing file",
        "pipe.png": "is a pipe, a socket or a device",
    }
    for name in expected:
        path = study / name
        path.parent.mkdir(exist_ok=True)
        if name == "gone.png":
            path.symlink_to("nowhere")
        elif name == "pipe.png":
            os.mkfifo(path)
        else:
            path.write_text("not an image")
    (study / "itself").symlink_to(".")
    expected["itself"] = "is already read under another path"
    return {(study / name).relative_to(root).as_posix(): why for name, why in expected.items()}


@pytest.fixture
def without_csvs(own_mura: Path) -> Path:
    for path in (own_mura / "MURA-v1.1").glob("*.csv"):
        path.unlink()
    return own_mura / "MURA-v1.1"


def test_other_files_in_muras_layout(own_mura: Path):
    before = read_manifest(own_mura)
    assert before.left_out == ()
    expected = add_others(own_mura / "MURA-v1.1")
    write_image(own_mura / STUDY / "image3.png", PIXELS)
    write_image(own_mura / "MURA-v1.1" / "test" / "XR_ELBOW" / "image1.png", PIXELS)
    (own_mura / "about.md").touch()
    (own_mura / "boxes.csv").write_text("path,x0,y0,x1,y1\n")
    after = read_manifest(own_mura)
    pd.testing.assert_frame_equal(after.table, before.table)
    assert reasons(after) == expected | {
        "train/XR_ELBOW/patient00000/study1_negative/image3.png": "is not listed in the CSV",
        "test/XR_ELBOW/image1.png": "is not listed in the CSV",
        "../about.md": "is not a supported image format (.md)",
    }


def test_other_files_in_folders_without_csvs(without_csvs: Path):
    before = read_manifest(without_csvs)
    expected = add_others(without_csvs)
    # A radiograph without suffix, whose content says what it is, and a linked folder of images.
    study = without_csvs / "train" / "XR_ELBOW" / "patient00000" / "study1_negative"
    shutil.copy(study / "image1.png", study / "image3")
    elsewhere = without_csvs.parent / "elsewhere"
    shutil.copytree(without_csvs / "train" / "XR_ELBOW" / "patient00001", elsewhere)
    (without_csvs / "train" / "XR_ELBOW" / "patient99999").symlink_to(elsewhere)
    after = read_manifest(without_csvs)
    new = set(after.table["path"]) - set(before.table["path"])
    assert new == {
        "train/XR_ELBOW/patient00000/study1_negative/image3",
        "train/XR_ELBOW/patient99999/study1_positive/image1.png",
        "train/XR_ELBOW/patient99999/study1_positive/image2.png",
    }
    assert reasons(after) == expected
    prepared = prepare(after, without_csvs.parent / "cache", Square(8))
    assert prepared.unreadable.empty


def test_other_files_of_a_plain_csv(own_mura: Path):
    """Those below the innermost folder that holds the listed images."""
    root = own_mura / "MURA-v1.1"
    table = read_manifest(own_mura).table
    table[table["path"].str.startswith("valid/")].to_csv(own_mura / "valid.csv", index=False)
    (own_mura / "MURA-v1.1").rename(own_mura / "images")
    listed = pd.read_csv(own_mura / "valid.csv", dtype=str)
    listed["path"] = "images/" + listed["path"]
    listed["split"] = "train"
    listed.to_csv(own_mura / "valid.csv", index=False)
    write_image(own_mura / "images" / "valid" / "more.png", PIXELS)
    manifest = read_manifest(own_mura / "valid.csv", split=False)
    assert reasons(manifest) == {"images/valid/more.png": "is not listed in the CSV"}
    assert not root.exists()
    (own_mura / "valid.csv").rename(own_mura / "manifest.csv")
    everything = reasons(read_manifest(own_mura, split=False))
    assert len(everything) == 1 + (table["split"] == "train").sum() + 4  # MURA's CSVs


def test_a_file_that_is_listed_through_a_link_is_listed(own_mura: Path):
    root = own_mura / "MURA-v1.1"
    patient = root / "train" / "XR_ELBOW" / "patient00001"
    patient.rename(root / "pool")
    patient.symlink_to(root / "pool")
    image = root / "train" / "XR_ELBOW" / "patient00000" / "study1_negative" / "image1.png"
    image.rename(root / "abc.png")
    image.symlink_to(root / "abc.png")
    manifest = read_manifest(own_mura)
    assert manifest.left_out == ()
    assert len(manifest.table) == 108


def test_litter_is_not_taken_for_a_data_set(own_mura: Path):
    root = own_mura / "MURA-v1.1"
    for folder in ("__MACOSX", ".Trash-1000", ".ipynb_checkpoints"):
        shutil.copytree(root, own_mura / folder)
    for path in root.glob("*.csv"):
        (root / f"._{path.name}").write_bytes(b"\0\5\x16\7\xff")
    manifest = read_manifest(own_mura)
    assert len(manifest.table) == 108
    assert {file.reason for file in manifest.left_out} == {
        "is hidden, or a file of an operating system"
    }
    assert len(manifest.left_out) == 3 * (108 + 4) + 4
    shutil.rmtree(root)
    with pytest.raises(DataError, match="no radiographs found"):
        read_manifest(own_mura)


def test_a_pipe_that_a_csv_lists_is_not_waited_for(own_mura: Path, tmp_path: Path):
    image = own_mura / STUDY / "image1.png"
    image.unlink()
    os.mkfifo(image)
    manifest = read_manifest(own_mura)
    assert manifest.left_out == ()
    prepared = prepare(manifest, tmp_path / "cache", Square(8))
    assert prepared.unreadable["reason"].tolist() == ["is a pipe, not a file"]
    with pytest.raises(RadiographError, match="is a pipe"):
        read_radiograph(image)


def test_a_pipe_named_like_a_csv_is_not_waited_for(own_mura: Path):
    for name in ("manifest.csv", "labels.csv", "boxes.csv"):
        os.mkfifo(own_mura / "MURA-v1.1" / name)
    assert len(read_manifest(own_mura).table) == 108


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a", "1.2.840.10008"])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_a_program_would_wait_for_is_not_read(tmp_path: Path, kind: str, name: str):
    path = tmp_path / name
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            listening.bind(str(path))
        told = f"is a {kind}, not a file|can't be read"
        with pytest.raises(RadiographError, match=told):
            read_radiograph(path, readers=installed_readers())


def test_a_folder_without_images_is_refused_with_what_is_there(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number in range(300):
        (tmp_path / "a" / "b" / f"scan{number:03}.xyz").touch()
    message = (
        r"no radiographs found \(300 other files; the first: a/b/scan000\.xyz is not a supported"
        r" image format \(\.xyz\)\)\. Expected"
    )
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)


def test_the_list_is_of_today(own_mura: Path, tmp_path: Path):
    image = own_mura / STUDY / "image1.png"
    image.write_bytes(b"")
    relative = image.relative_to(own_mura / "MURA-v1.1").as_posix()
    unreadable = {"path": relative, "reason": "is empty (0 bytes)"}
    (own_mura / "notes.txt").touch()
    first = prepare(read_manifest(own_mura), tmp_path / "cache", Square(8))
    note = {"path": "../notes.txt", "reason": "is not a supported image format (.txt)"}
    assert first.left_out.to_dict("records") == [unreadable, note]
    (own_mura / "notes.txt").unlink()
    second = prepare(read_manifest(own_mura), tmp_path / "cache", Square(8))
    assert second.folder == first.folder
    assert second.left_out.to_dict("records") == [unreadable]
    listed = pd.read_csv(second.folder / "left_out.csv").to_dict("records")
    assert listed == [unreadable]


def test_an_extraction_lists_what_it_leaves_out(own_mura: Path, tmp_path: Path, caplog):
    (own_mura / STUDY / "image1.png").write_bytes(b"")
    (own_mura / "notes.txt").touch()
    extracted = extract(own_mura, tmp_path / "cache", square=Square(8))
    assert extracted.left_out["path"].tolist() == [
        "train/XR_ELBOW/patient00000/study1_negative/image1.png", "../notes.txt",
    ]  # fmt: skip
    (message,) = [record.getMessage() for record in caplog.records]
    assert "1 of 108 images can't be read" in message
    assert "image1.png is empty (0 bytes)" in message


# On the console ---------------------------------------------------------------------------------


def test_the_console_says_one_line_a_reason(own_mura: Path):
    root = own_mura / "MURA-v1.1"
    for number in range(300):
        (root / f"note{number:03}.txt").touch()
        (root / f"._{number}.png").touch()
    (root / "gone.png").symlink_to("nowhere\x1b[31m\n")
    for number, path in enumerate(sorted((root / "train").rglob("*.png"))[:40]):
        path.write_bytes(path.read_bytes()[: 100 + number])
    done = mura_run("prepare", "--data", own_mura, "--size", 32)
    assert done.exit_code == 0, done.output
    (notes,) = [line for line in done.stdout.splitlines() if ".txt" in line]
    assert notes == (
        "Left out: 300 files: note000.txt is not a supported image format (.txt); note001.txt,"
        " note002.txt and 297 more"
    )
    (litter,) = [line for line in done.stdout.splitlines() if "hidden" in line]
    assert litter.startswith("Left out: 300 files: ._0.png is hidden")
    warned = done.stderr.splitlines()
    assert len([line for line in warned if "40 of 108 images can't be read" in line]) == 1
    assert "Left out: 1 file: gone.png leads to a missing file" in warned
    (studies,) = [line for line in warned if "studies" in line]
    assert studies.startswith(
        "Left out: 20 studies without a readable image: XR_ELBOW/patient00000"
    )
    assert "and 17 more" in studies
    (where,) = [line for line in warned if "is listed in" in line]
    listed = pd.read_csv(where.split(" is listed in ")[1])
    assert len(listed) == 300 + 300 + 1 + 40


def test_strict_refuses_what_may_be_a_radiograph_only(own_mura: Path):
    (own_mura / "notes.txt").touch()
    assert mura_run("prepare", "--data", own_mura, "--size", 32, "--strict").exit_code == 0
    (own_mura / "gone.png").symlink_to("nowhere")
    # Before images are read: none can be.
    for path in own_mura.rglob("*.png"):
        if path.is_file():
            path.write_bytes(b"")
    refused(1, "the first: ../gone.png leads to a missing file. Without --strict", "prepare",
            "--data", own_mura, "--size", 32, "--strict")  # fmt: skip


def test_statistics_alone_list_what_is_left_out(own_mura: Path):
    (own_mura / "notes.txt").touch()
    (own_mura / STUDY / "image1.png").write_bytes(b"")
    done = mura_run("prepare", "--data", own_mura, "--size", 32, "--statistics-only")
    assert done.exit_code == 0, done.output
    (where,) = [line for line in done.stderr.splitlines() if "is listed in" in line]
    assert len(pd.read_csv(where.split(" is listed in ")[1])) == 2


def test_manifest_says_what_it_leaves_out(own_mura: Path):
    for number in range(5):
        (own_mura / f"note{number}.txt").touch()
    done = mura_run("manifest", own_mura)
    assert done.exit_code == 0, done.output
    assert "Left out: 5 files: ../note0.txt is not a supported image format (.txt); " in done.stdout
    assert "note4.txt" not in done.output
    listed = mura_run("manifest", own_mura, "--verbose").stdout
    assert "Left out: ../note4.txt is not a supported image format (.txt)" in listed
