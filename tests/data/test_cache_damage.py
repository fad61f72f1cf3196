"""A damaged, locked, read-only or deleted cache gives no wrong pixel, and no traceback."""

import json
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_sets import write_image
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.data import Manifest, PreparedImages, prepare, training_statistics
from mura_core.data import prepared_files as module
from mura_core.errors import DataError
from mura_core.imaging import Square

SQUARE = Square(4)
FILES = (
    "images.npy", "images.csv", "traits.csv", "unreadable.csv", "digest.txt", "checksums.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Ten small images, one of which can't be read."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    rows = []
    for number in range(10):
        write_image(folder / f"{number}.png", random.integers(0, 256, (6, 6), dtype=np.uint8))
        rows.append((f"{number}.png", "HAND", f"p{number}", "s", number % 2, "train"))
    (folder / "3.png").write_bytes(b"")
    columns = ["path", "body_part", "patient", "study", "label", "split"]
    return Manifest(folder, pd.DataFrame(rows, columns=columns))


@pytest.fixture(scope="module")
def whole(manifest: Manifest, tmp_path_factory) -> PreparedImages:
    return prepare(manifest, tmp_path_factory.mktemp("whole"), SQUARE)


def same(one: PreparedImages, other: PreparedImages) -> None:
    """Check that two prepared sets are equal, and that nothing temporary is left."""
    np.testing.assert_array_equal(one.images, other.images)
    assert one.digest == other.digest
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.traits, other.traits)
    pd.testing.assert_frame_equal(one.unreadable, other.unreadable)
    pd.testing.assert_frame_equal(one.left_out, other.left_out)
    assert {path.name for path in one.folder.iterdir()} == {*FILES, "left_out.csv"}
    left = {path.suffix for path in one.folder.parent.iterdir()}
    assert left <= {"", ".lock"}


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_changed_byte_of_a_set_is_ever_believed(manifest, whole, tmp_path_factory, data):
    cache = tmp_path_factory.mktemp("cache")
    shutil.copytree(whole.folder, cache / "prepared" / whole.folder.name)
    changed = cache / "prepared" / whole.folder.name / data.draw(st.sampled_from(FILES))
    content = bytearray(changed.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["change", "cut", "lengthen", "repeat"])):
        case "change":
            content[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del content[place:]
        case "lengthen":
            content += bytes(place + 1)
        case "repeat":
            content[place:] = content[place:] * 2
    changed.write_bytes(content)
    same(prepare(manifest, cache, SQUARE), whole)


@pytest.mark.parametrize("name", FILES)
def test_damage_is_said_in_a_line_and_mended(manifest, whole, tmp_path, caplog, name):
    folder = prepare(manifest, tmp_path, SQUARE).folder
    for harm in ("zeros", "missing", "a folder"):
        caplog.clear()
        if harm == "zeros":
            size = (folder / name).stat().st_size
            (folder / name).write_bytes(bytes(size))
        else:
            (folder / name).unlink()
        if harm == "a folder":
            (folder / name).mkdir()
        with caplog.at_level(logging.WARNING, "mura"):
            same(prepare(manifest, tmp_path, SQUARE), whole)
        [said] = caplog.messages
        assert said.startswith(f"{folder}: {name} ")
        assert said.endswith(", so the images are prepared again")
        caplog.clear()
        prepare(manifest, tmp_path, SQUARE)
        assert not caplog.messages


def test_the_damaged_image_is_named(manifest, tmp_path, caplog):
    folder = prepare(manifest, tmp_path, SQUARE).folder
    with (folder / "images.npy").open("r+b") as file:
        file.seek(128 + 4 * 16 + 5)
        byte = file.read(1)[0]
        file.seek(128 + 4 * 16 + 5)
        file.write(bytes([byte ^ 1]))
    with caplog.at_level(logging.WARNING, "mura"):
        prepare(manifest, tmp_path, SQUARE)
    assert "images.npy is damaged at image 5 of 9" in caplog.text


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def half(manifest, tmp_path_factory) -> Path:
    """The cache of a preparation that was killed after eight images."""
    cache = tmp_path_factory.mktemp("half")

    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_JOURNAL_EVERY", 1)
        with pytest.raises(Killed):
            prepare(manifest, cache, SQUARE, progress=kill)
    return cache


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_changed_byte_of_a_half_made_set_is_believed(
    manifest, whole, half, tmp_path_factory, data
):
    cache = tmp_path_factory.mktemp("cache") / "copy"
    shutil.copytree(half, cache)
    [partial] = (cache / "prepared").glob("*.partial")
    assert {path.name for path in partial.iterdir()} == {"images.npy", "journal.jsonl"}
    changed = partial / data.draw(st.sampled_from(["images.npy", "journal.jsonl"]))
    content = bytearray(changed.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    changed.write_bytes(content)
    same(prepare(manifest, cache, SQUARE), whole)


def test_an_undamaged_half_made_set_is_finished(manifest, whole, half, tmp_path):
    shutil.copytree(half, tmp_path / "cache")
    done = []
    prepared = prepare(manifest, tmp_path / "cache", SQUARE, progress=lambda n, _: done.append(n))
    assert done == [10]  # eight were there
    same(prepared, whole)


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_changed_byte_of_statistics_is_believed(manifest, tmp_path_factory, data):
    cache = tmp_path_factory.mktemp("statistics")
    _, before, unreadable = training_statistics(manifest, cache, SQUARE)
    [checkpoint] = (cache / "statistics").glob("*.sums.npz")
    content = bytearray(checkpoint.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    checkpoint.write_bytes(content)
    _, after, still_unreadable = training_statistics(manifest, cache, SQUARE)
    assert after.count == before.count == 9
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.deviation, before.deviation)
    pd.testing.assert_frame_equal(still_unreadable, unreadable)


def test_a_set_deleted_while_it_is_used_keeps_its_pixels(manifest, whole, tmp_path):
    prepared = prepare(manifest, tmp_path, SQUARE)
    shutil.rmtree(tmp_path)
    np.testing.assert_array_equal(prepared.images, whole.images)
    assert prepared.digest == whole.digest
    assert len(prepared.unusual()) == len(whole.unusual())
    assert prepared.statistics().count == 9


def test_a_change_during_a_run_is_noticed_before_results_are_kept(manifest, tmp_path):
    prepared = prepare(manifest, tmp_path, SQUARE)
    prepared.refuse_changed()
    with (prepared.folder / "images.npy").open("r+b") as file:
        file.seek(128 + 4 * 16)
        byte = file.read(1)[0]
        file.seek(128 + 4 * 16)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(DataError, match=r"the pixels of 5\.png were changed in the cache during"):
        prepared.refuse_changed()


def test_damage_found_by_another_run_leaves_the_pixels_of_the_first(manifest, whole, tmp_path):
    first = prepare(manifest, tmp_path, SQUARE)
    (first.folder / "digest.txt").write_text("x")
    second = prepare(manifest, tmp_path, SQUARE)
    np.testing.assert_array_equal(first.images, whole.images)
    same(second, whole)


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

WAIT = """
import logging, sys
logging.basicConfig()
from pathlib import Path
from mura_core.data.cache_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_holds_a_lock_is_said(manifest, whole, tmp_path):
    entry = tmp_path / "entry"
    command = [sys.executable, "-c", WAIT, str(entry)]
    with subprocess.Popen(command, text=True, **PIPES) as first:
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, text=True, **PIPES) as second:
            said = second.stderr.readline()
            host = re.escape(os.uname().nodename)
            when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"
            waits = rf"Waiting for process {first.pid} on {host} \(since {when}\), which uses "
            assert re.search(waits, said)
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.communicate("")
    assert not entry.with_suffix(".holder").exists()


def test_a_lock_of_an_unknown_process_is_waited_for(manifest, whole, tmp_path, caplog):
    folder = prepare(manifest, tmp_path, SQUARE).folder
    for content in ("", "{", "[]", json.dumps({"process": "\x1b[31m"})):
        folder.with_suffix(".holder").write_text(content)
        other = FileLock(folder.with_suffix(".lock"))
        other.acquire()
        command = [sys.executable, "-c", WAIT, str(folder)]
        with subprocess.Popen(command, text=True, **PIPES) as waiting:
            assert "Waiting for another process, which uses" in waiting.stderr.readline()
            other.release()
            assert waiting.stdout.readline() == "held\n"
            waiting.communicate("")


def test_a_full_disk_is_told_and_what_is_prepared_is_kept(manifest, whole, tmp_path):
    def use() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        with pytest.raises(DataError, match=r"partial: can't be written \(File too large\)"):
            prepare(manifest, tmp_path, SQUARE)

    in_a_process(use, user=os.getuid())
    same(prepare(manifest, tmp_path, SQUARE), whole)


def in_a_process(function, user: int = 65534) -> None:
    """Call a function in a process of another user, who can write to nothing."""
    process = os.fork()
    if not process:
        os.setuid(user)
        try:
            function()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_read_only_cache_is_used_and_an_empty_one_is_refused(manifest, whole, tmp_path):
    prepare(manifest, tmp_path / "cache", SQUARE)
    for path in {tmp_path, manifest.folder, *tmp_path.parents, *manifest.folder.parents}:
        if path.stat().st_mode & 0o077 == 0:
            path.chmod(0o755)

    def use() -> None:
        prepared = prepare(manifest, tmp_path / "cache", SQUARE)
        np.testing.assert_array_equal(prepared.images, whole.images)
        assert prepared.digest == whole.digest
        assert prepared.listed_in.startswith("nowhere: ")
        with pytest.raises(DataError, match=r"can't be locked \(.*set XDG_CACHE_HOME"):
            prepare(manifest, tmp_path / "cache", Square(5))
        with pytest.raises(DataError, match=r"can't be created \(.*set XDG_CACHE_HOME"):
            prepare(manifest, tmp_path / "new", SQUARE)

    in_a_process(use)
