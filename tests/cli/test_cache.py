"""The command that lists, prunes and verifies the cache."""

import os
import shutil
import time
from pathlib import Path

import pytest
from command_line import mura_run, refused
from filelock import FileLock

from mura_core.data import CacheEntry, cache_entries

DAY = 86400


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "mura-run"


def prepare(mura: Path, *options: object) -> None:
    done = mura_run("prepare", "--data", mura, "--size", "32", *options)
    assert done.exit_code == 0, done.output


def lines(*arguments: object) -> list[str]:
    done = mura_run("cache", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def of_kind(cache: Path, kind: str) -> CacheEntry:
    [entry] = [entry for entry in cache_entries(cache) if entry.kind == kind]
    return entry


def age(path: Path, days: float) -> None:
    """Make a file, or a folder and all in it, older."""
    then = time.time() - days * DAY
    for one in (path, *path.rglob("*")):
        os.utime(one, (then, then))


def test_an_empty_cache_has_nothing(own_cache: Path):
    assert lines("list") == [f"0 entries, 0.0 MB: {own_cache}"]
    assert lines("prune") == [f"0 entries removed, 0.0 MB: {own_cache}"]
    assert lines("verify") == []
    assert not own_cache.exists()


def test_sets_are_listed_with_their_sizes(mura: Path, own_cache: Path):
    prepare(mura)
    prepare(mura, "--statistics-only")
    *told, last = lines("list")
    images = of_kind(own_cache, "images")
    assert images.size == sum(path.stat().st_size for path in images.path.iterdir())
    today = time.strftime("%Y-%m-%d")
    told = {line.split()[0]: line for line in told}
    assert set(told) == {"images", "statistics"}
    assert f"last used {today}" in told["images"]
    assert "108 images of 32 pixels, the first train/XR_ELBOW/patient00000" in told["images"]
    assert last.startswith("2 entries, 0.")
    assert "prune" not in "".join(told.values())


def test_what_is_unused_half_made_or_left_is_removed(mura: Path, own_cache: Path):
    prepare(mura)
    prepare(mura, "--statistics-only")
    folder = own_cache / "prepared"
    kept = of_kind(own_cache, "images").path
    old, half = folder / ("0" * 32), folder / f"{'1' * 32}.partial"
    shutil.copytree(kept, old)
    age(old, 91)
    half.mkdir()
    (half / "journal.jsonl").write_text("{}\n")
    (folder / f"{'2' * 32}.lock").touch()
    (own_cache / "phantoms-0").mkdir()
    age(own_cache / "phantoms-0", 91)
    (own_cache / f".drawing.{2**22 + 1}").mkdir()
    for mine in ("notes.txt", "phantoms-mine", "drawing-mine"):
        (own_cache / mine).touch()
    (folder / "mine.txt").touch()
    (folder / ("3" * 32)).symlink_to(kept)
    statistics = own_cache / "statistics" / "mine.npz"
    statistics.touch()

    told = lines("list")
    assert sum(line.endswith("(prune removes it)") for line in told) == 5
    told = lines("prune")
    assert told[-1].startswith("5 entries removed, ")
    assert all(line.startswith("removed ") for line in told[:-1])
    assert kept.is_dir()
    assert statistics.exists()
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {kept.name, "mine", "3" * 32}
    assert {path.name for path in own_cache.iterdir()} == {
        "prepared", "statistics", "notes.txt", "phantoms-mine", "drawing-mine",
    }  # fmt: skip
    assert len(lines("prune")) == 1
    prepare(mura, "--quiet")
    assert kept.is_dir()


def test_a_set_that_is_used_again_isnt_old(mura: Path, own_cache: Path):
    prepare(mura)
    kept = of_kind(own_cache, "images").path
    age(kept, 100)
    assert of_kind(own_cache, "images").is_unused(90)
    prepare(mura)
    assert not of_kind(own_cache, "images").is_unused(90)
    age(kept, 10)
    assert len(lines("prune")) == 1
    assert len(lines("prune", "--days", "9")) == 2
    assert not kept.exists()
    prepare(mura)


def test_a_set_that_a_process_prepares_is_kept(mura: Path, own_cache: Path):
    half = own_cache / "prepared" / f"{'1' * 32}.partial"
    half.mkdir(parents=True)
    with FileLock(half.with_suffix(".lock")):
        told = lines("prune")
    assert told[0].startswith("in use   images")
    assert half.is_dir()
    assert len(lines("prune")) == 2
    assert not half.exists()


def test_damage_is_found_and_mended_by_the_next_use(mura: Path, own_cache: Path):
    prepare(mura)
    prepare(mura, "--statistics-only")
    assert [line.split()[0] for line in lines("verify")] == ["intact", "intact"]
    images, statistics = (of_kind(own_cache, kind).path for kind in ("images", "statistics"))
    for path in (images / "images.npy", statistics.with_suffix(".sums.npz")):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    result = mura_run("cache", "verify")
    assert "images.npy is damaged at image" in result.stdout
    assert ".sums.npz is damaged" in result.stdout
    refused(1, "2 of 2 entries of the cache are damaged", "cache", "verify")
    prepare(mura)
    prepare(mura, "--statistics-only")
    assert [line.split()[0] for line in lines("verify")] == ["intact", "intact"]
    (images / "images.csv").write_text("")
    assert "damaged" in "".join(lines("list"))
