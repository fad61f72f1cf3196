"""Killed at any moment, a preparation leaves nothing wrong and nothing behind."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data_sets import write_mura

# The journal is written after every eight images, so that each kill leaves some work.
PREPARE = """
import mura_core.data.prepared_files as prepared_files
import mura_core.imaging.stream as stream
from mura_core.cli import main
prepared_files._JOURNAL_EVERY = stream._SAVE_EVERY = 1
main()
"""


def start(data: Path, xdg: Path, *options: str) -> subprocess.Popen:
    """Start `mura-run prepare`, and wait until it has got to the cache."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREPARE, "prepare", "--data", str(data), "--size", "224", *options],
        env=os.environ | {"XDG_CACHE_HOME": str(xdg)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    folder = "statistics" if options else "prepared"
    names = {path.name for path in xdg.glob(f"mura-run/{folder}/*")}
    while process.poll() is None:
        now = {path.name for path in xdg.glob(f"mura-run/{folder}/*")}
        if now > names or any(name.endswith(".holder") for name in now):
            break
        time.sleep(0.001)
    return process


def finish(process: subprocess.Popen) -> float:
    """Return how many seconds a process took to its end."""
    started = time.perf_counter()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.perf_counter() - started


def contents(xdg: Path) -> dict[str, bytes]:
    """Return the files of a cache by their paths; locks stay."""
    files = [path for path in xdg.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(xdg).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--statistics-only",)], ids=["images", "statistics"])
def test_a_preparation_killed_at_random_moments_gives_the_same_in_the_end(tmp_path: Path, options):
    data = write_mura(tmp_path / "data", patients=120)
    seconds = finish(start(data, tmp_path / "whole", *options))
    whole = contents(tmp_path / "whole")
    assert len(whole) > 2
    moments = random.Random(2019)
    killed = 0
    for _ in range(6):
        process = start(data, tmp_path / "killed", *options)
        time.sleep(moments.uniform(0, 0.7) * seconds)
        process.kill()
        process.communicate()
        killed += process.returncode < 0
    assert killed
    finish(start(data, tmp_path / "killed", *options))
    assert contents(tmp_path / "killed") == whole
