"""The memory map: right, resumable, never stale, and as large as the disk, not the memory."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from child_memory import PEAK_KIBIBYTES
from command_line import own_process
from data_sets import write_image, write_mura
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mura_core.data import (
    Manifest,
    prepare,
    read_manifest,
    statistics_of,
    training_statistics,
)
from mura_core.errors import DataError
from mura_core.imaging import Square, file_identity, read_radiograph, resize
from mura_core.pipeline import open_data


def test_rows_are_the_images_and_statistics_are_of_training_images_alone(mura: Path, tmp_path):
    manifest = read_manifest(mura)
    prepared = prepare(manifest, tmp_path, square=Square(32))
    assert len(prepared.table) == len(manifest.table) == 108
    for row, path in enumerate(prepared.table["path"]):
        expected = resize(read_radiograph(manifest.folder / path), Square(32))
        np.testing.assert_array_equal(prepared.images[row], expected)
    trains = (prepared.table["split"] == "train").to_numpy()
    training = prepared.images[trains].astype(np.float64)
    statistics = prepared.statistics()
    assert statistics.count == trains.sum()
    np.testing.assert_allclose(statistics.mean, training.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(statistics.deviation, training.std(axis=0, ddof=1), rtol=1e-12)
    from_rows = statistics_of(prepared.images, np.flatnonzero(trains))
    np.testing.assert_array_equal(from_rows.deviation, statistics.deviation)


def test_the_number_of_threads_changes_nothing(mura: Path, tmp_path):
    manifest = read_manifest(mura)
    one, many = (prepare(manifest, tmp_path / str(n), square=Square(32), threads=n) for n in (1, 7))
    np.testing.assert_array_equal(one.images, many.images)
    np.testing.assert_array_equal(one.statistics().mean, many.statistics().mean)


def test_the_map_is_reused_until_an_image_changes(own_mura: Path, tmp_path):
    manifest = read_manifest(own_mura)
    first = prepare(manifest, tmp_path, square=Square(32))
    decoded = []
    assert (
        prepare(manifest, tmp_path, square=Square(32), progress=lambda *_: decoded.append(1)).folder
        == first.folder
    )
    assert not decoded
    assert prepare(manifest, tmp_path, square=Square(16)).folder != first.folder
    changed = manifest.folder / manifest.table["path"].iloc[0]
    write_image(changed, np.full((9, 9), 200, np.uint8))
    second = prepare(manifest, tmp_path, square=Square(32))
    assert second.folder != first.folder
    assert (second.images[0] == 200).all()


def test_what_cannot_be_read_is_left_out_and_listed(own_mura: Path, tmp_path):
    manifest = read_manifest(own_mura)
    study = [path for path in manifest.table["path"] if "train/XR_WRIST/patient00000" in path]
    (manifest.folder / study[0]).write_bytes(b"")
    (manifest.folder / study[1]).unlink()
    whole = prepare(
        read_manifest(write_mura(tmp_path / "whole")), tmp_path / "cache", square=Square(32)
    )
    prepared = prepare(manifest, tmp_path / "cache", square=Square(32))
    assert prepared.left_out.to_dict("records") == [
        {"path": study[0], "reason": "is empty (0 bytes)"},
        {"path": study[1], "reason": "does not exist"},
    ]
    assert prepared.studies_without_images(manifest) == ["XR_WRIST/patient00000/study1"]
    assert not set(study) & set(prepared.table["path"])
    kept = ~whole.table["path"].isin(study).to_numpy()
    np.testing.assert_array_equal(prepared.images, whole.images[kept])


def test_nothing_readable_is_an_error(tmp_path):
    table = pd.DataFrame(
        [("gone.png", "HAND", "p", "s", 1, "train")],
        columns=["path", "body_part", "patient", "study", "label", "split"],
    )
    with pytest.raises(DataError, match=r"none of the 1 images .* gone\.png does not exist"):
        prepare(Manifest(tmp_path, table), tmp_path / "cache", square=Square(8))


PREPARE_SLOWLY = """
import sys, time
from pathlib import Path
from mura_core.data import read_manifest
from mura_core.data import prepare
from mura_core.imaging import Square
import mura_core.data.prepared_files as module
module._JOURNAL_EVERY = 1
def slowly(done, total):
    print(done, flush=True)
    time.sleep(0.02)
prepare(read_manifest(Path(sys.argv[1])), Path(sys.argv[2]), square=Square(32), progress=slowly)
"""


@pytest.mark.parametrize("after", [8, 24, 48])
def test_a_killed_preparation_goes_on_where_it_stopped(mura: Path, tmp_path, after):
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", PREPARE_SLOWLY, str(mura), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == after:
                process.send_signal(signal.SIGKILL)
    assert not [path for path in (cache / "prepared").iterdir() if path.suffix == ""]
    decoded = []
    manifest = read_manifest(mura)
    resumed = prepare(
        manifest, cache, square=Square(32), progress=lambda done, total: decoded.append(done)
    )
    assert decoded[0] == after + 8  # images are journalled eight at a time here
    whole = prepare(manifest, tmp_path / "other", square=Square(32))
    for name in ("images.npy", "images.csv", "traits.csv", "unreadable.csv", "left_out.csv"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    np.testing.assert_array_equal(resumed.statistics().deviation, whole.statistics().deviation)
    assert not (resumed.folder / "journal.jsonl").exists()


def test_two_programs_preparing_at_once_do_the_work_once(mura: Path, tmp_path):
    command = [sys.executable, "-c", PREPARE_SLOWLY, str(mura), str(tmp_path)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(len(out.split()) for out, _ in outputs) == [0, -(-108 // 8)]


PEAK_MEMORY = (
    PEAK_KIBIBYTES
    + """
import sys
from pathlib import Path
from mura_core.data import read_manifest
from mura_core.data import prepare
from mura_core.imaging import Square
prepare(read_manifest(Path(sys.argv[1])), Path(sys.argv[2]), square=Square(224))
print(peak_kibibytes())
"""
)


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path):
    peaks = {}
    original = tmp_path / "original.png"
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500), dtype=np.uint8)
    write_image(original, pixels)
    for count in (500, 5000):
        folder = tmp_path / str(count)
        for number in range(count):
            label = "positive" if number % 2 else "negative"
            study = folder / "train" / "XR_HAND" / f"patient{number:05}" / f"study1_{label}"
            study.mkdir(parents=True)
            (study / "image1.png").hardlink_to(original)
        command = [sys.executable, "-c", PEAK_MEMORY, str(folder), str(tmp_path / "cache")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[count] = int(done.stdout) / 1024
    assert peaks[5000] - peaks[500] < 20, peaks  # MiB; the larger map alone has 239 MiB


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_prepared_set_answers_for_pixels_alone(tmp_path_factory, data):
    # Whatever a corrected CSV says anew (labels, patients, splits, other rows, another order) is
    # what the table says; the pixels are those of the paths.
    folder = tmp_path_factory.mktemp("set")
    names = [f"{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        write_image(folder / name, np.full((5, 5), 40 * number, np.uint8))
    for _ in range(3):
        rows = [
            (name, *data.draw(st.tuples(*map(st.sampled_from, (["HAND", "LEG"], "pq", "st")))))
            for name in data.draw(st.permutations(names))[: data.draw(st.integers(2, 6))]
        ]
        table = pd.DataFrame(rows, columns=["path", "body_part", "patient", "study"])
        table["label"] = data.draw(st.lists(st.sampled_from([0, 1]), min_size=6))[: len(table)]
        table["split"] = np.where(
            table["patient"] == data.draw(st.sampled_from("pq")), "train", "valid"
        )
        prepared = prepare(Manifest(folder, table), folder / "cache", square=Square(4))
        said = prepared.table.sort_values("path").to_dict("records")
        assert said == table.sort_values("path").to_dict("records")
        for row, path in enumerate(prepared.table["path"]):
            assert (prepared.images[row] == 40 * names.index(path)).all()


def test_corrected_labels_and_splits_reuse_the_pixels(own_mura: Path, tmp_path):
    manifest = read_manifest(own_mura)
    first = prepare(manifest, tmp_path, square=Square(8))
    other = {"train": "valid", "valid": "train"}
    corrected = manifest.table.assign(
        label=1 - manifest.table["label"], split=manifest.table["split"].map(other)
    )
    decoded = []
    second = prepare(
        Manifest(manifest.folder, corrected.iloc[::-1]),
        tmp_path,
        square=Square(8),
        progress=lambda *_: decoded.append(1),
    )
    assert second.folder == first.folder
    assert not decoded
    assert (second.table["label"] == 1 - first.table["label"]).all()
    assert second.statistics().count == (first.table["split"] == "valid").sum()


def test_a_file_replaced_with_its_size_and_times_kept_is_read_anew(own_mura: Path, tmp_path):
    manifest = read_manifest(own_mura)
    image = manifest.folder / manifest.table["path"].iloc[0]
    prepare(manifest, tmp_path, square=Square(8))
    before = image.stat()
    content = bytearray(image.read_bytes())
    image.unlink()
    other = manifest.folder / manifest.table["path"].iloc[1]
    image.write_bytes(other.read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = prepare(manifest, tmp_path, square=Square(8))
    # What replaced it is no whole PNG, or another picture: in no case the pixels of before.
    row = np.flatnonzero(again.table["path"] == manifest.table["path"].iloc[0])
    assert (
        len(row) == 0 or (again.images[row[0]] == resize(read_radiograph(other), Square(8))).all()
    )


@pytest.mark.parametrize("size", [100, 4096, 4097, 8192, 8193, 100_000])
def test_an_identity_changes_with_the_ends_of_a_file_alone(tmp_path, monkeypatch, size):
    # Some file systems have neither inodes nor status change times, and disk images can be mounted
    # in turn, with the same numbers.
    monkeypatch.setattr("os.stat", without_inodes(os.stat))
    file = tmp_path / "a.png"
    seen = set()
    for changed in (None, 0, min(size, 4096) - 1, max(0, size - 4096), size - 1):
        content = bytearray(size)
        if changed is not None:
            content[changed] = 1
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))
        seen.add((file_identity(file), bytes(content)))
    assert len({identity for identity, _ in seen}) == len(seen)


def without_inodes(stat):
    def plain(path, **options):
        found = stat(path, **options)
        numbers = list(found)
        numbers[1] = numbers[2] = 0  # inode, device
        return os.stat_result(
            numbers, {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_mtime_ns}
        )

    return plain


def test_disk_images_mounted_in_turn_are_two_sets(tmp_path, monkeypatch):
    monkeypatch.setattr("os.stat", without_inodes(os.stat))
    table = pd.DataFrame(
        [("a.png", "HAND", "p", "s", 1, "train")],
        columns=["path", "body_part", "patient", "study", "label", "split"],
    )
    mounted = tmp_path / "mounted"
    sizes, digests = set(), set()
    for level in (10, 200):
        write_image(mounted / "a.png", np.full((5, 5), level, np.uint8))
        os.utime(mounted / "a.png", ns=(1, 1))
        sizes.add((mounted / "a.png").stat().st_size)
        prepared = prepare(Manifest(mounted, table), tmp_path / "cache", square=Square(4))
        assert (prepared.images == level).all()
        digests.add(prepared.digest)
        mounted.rename(tmp_path / str(level))
    assert len(sizes) == 1
    assert len(digests) == 2


def test_data_that_was_moved_or_copied_has_the_same_digest(own_mura: Path, tmp_path):
    here = prepare(read_manifest(own_mura), tmp_path / "cache", square=Square(8))
    shutil.copytree(own_mura, tmp_path / "copy")
    there = prepare(read_manifest(tmp_path / "copy"), tmp_path / "cache", square=Square(8))
    own_mura.rename(tmp_path / "moved")
    moved = prepare(read_manifest(tmp_path / "moved"), tmp_path / "cache", square=Square(8))
    assert here.digest == there.digest == moved.digest


def test_a_pipe_or_device_among_the_images_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    write_image(tmp_path / "a.png", np.full((5, 5), 7, np.uint8))
    names = ["a.png", "pipe.png", "zero.png"]
    table = pd.DataFrame(
        [(name, "HAND", "p", "s", 1, "train") for name in names],
        columns=["path", "body_part", "patient", "study", "label", "split"],
    )
    prepared = prepare(Manifest(tmp_path, table), tmp_path / "cache", square=Square(4))
    assert prepared.unreadable["path"].tolist() == names[1:]
    assert prepared.unreadable["reason"].tolist() == [
        "is a pipe, not a file",
        "is a device, not a file",
    ]


def test_two_folders_alike_but_for_their_pixels_are_two_sets(tmp_path):
    table = pd.DataFrame(
        [("a.png", "HAND", "p", "s", 1, "train")],
        columns=["path", "body_part", "patient", "study", "label", "split"],
    )
    for level in (10, 200):
        folder = tmp_path / str(level)
        folder.mkdir()
        write_image(folder / "a.png", np.full((5, 5), level, np.uint8))
        os.utime(folder / "a.png", ns=(1, 1))
        prepared = prepare(Manifest(folder, table), tmp_path / "cache", square=Square(4))
        assert (prepared.images == level).all()


def test_seeds_folds_and_hold_outs_share_one_set(tmp_path):
    rows = []
    for number in range(20):
        write_image(tmp_path / f"{number}.png", np.full((5, 5), 10 * number, np.uint8))
        rows.append((f"{number}.png", "HAND", f"p{number}", "s", number % 2))
    table = pd.DataFrame(rows, columns=["path", "body_part", "patient", "study", "label"])
    table.to_csv(tmp_path / "manifest.csv", index=False)
    decoded, splits, sets = [], set(), set()
    for seed in (2019, 7, 0):
        for validate in ("split", "kfold", "holdout"):
            manifest = open_data(str(tmp_path), (), seed, validate)
            prepared = prepare(
                manifest,
                tmp_path / "cache",
                square=Square(4),
                progress=lambda done, _: decoded.append(done),
            )
            assert prepared.table["split"].tolist() == (
                manifest.table.set_index("path")["split"].loc[prepared.table["path"]].tolist()
            )
            splits.add(tuple(prepared.table["split"]))
            sets.add(prepared.folder)
    assert len(splits) == 4  # one a seed, and all of them training
    assert len(sets) == 1
    assert decoded == [8, 16, 20]  # once
    (folder,) = sets
    assert {path.name for path in folder.iterdir()} == {
        "images.npy", "images.csv", "traits.csv", "unreadable.csv", "left_out.csv", "digest.txt",
        "checksums.json",
    }  # fmt: skip
    assert not list(folder.parent.glob("*.partial"))


@pytest.mark.skipif(sys.platform != "linux", reason="file names must be Unicode")
def test_names_that_are_not_utf8_are_prepared_and_told(tmp_path: Path):
    # "caf\xe9" in Latin-1, as old archives have it.
    data = tmp_path / os.fsdecode(b"caf\xe9")
    write_mura_without_csvs(data, os.fsdecode(b"h\xe9"))
    manifest = read_manifest(data)
    for _ in range(2):  # prepared, then opened from the cache
        prepared = prepare(manifest, tmp_path, square=Square(8))
        assert set(prepared.table["path"]) | set(prepared.left_out["path"]) == set(
            manifest.table["path"]
        )
        assert prepared.left_out["path"].tolist() == [
            os.fsdecode(b"train/HAND/train0/s_negative/h\xe9-bad.png")
        ]
    checkpointed = training_statistics(manifest, tmp_path, Square(8))
    assert checkpointed[2]["path"].tolist() == prepared.left_out["path"].tolist()
    result = subprocess.run(
        own_process("prepare", "--data", data, "--verbose"), capture_output=True, check=True
    )
    assert b"h\\udce9-bad.png is empty" in result.stderr
    assert b"Traceback" not in result.stderr


def write_mura_without_csvs(data: Path, name: str) -> None:
    for number in range(4):
        label = "positive" if number % 2 else "negative"
        for split in ("train", "valid"):
            folder = data / split / "HAND" / f"{split}{number}" / f"s_{label}"
            folder.mkdir(parents=True)
            with (folder / f"{name}.png").open("wb") as file:
                Image.fromarray(np.full((9, 9), 20 * number, np.uint8)).save(file, "PNG")
    (data / "train" / "HAND" / "train0" / "s_negative" / f"{name}-bad.png").touch()
