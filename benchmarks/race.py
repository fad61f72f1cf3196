"""Contestants measured in turn, round after round, so that a busy moment falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from contests import CONTESTS
from work import Data

from mura_core.data import Manifest

_IMAGES_OF_2019 = 20
# Measured once; more rounds would take minutes and change nothing about 'at least 30 times'.
_ONCE = ("2019's lists",)


@dataclass
class Measured:
    """Seconds an image, of each round."""

    seconds: list[float]
    peak_mib: float | None = None  # above an interpreter with NumPy

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(contest: str, data: Data, rounds: int) -> dict[str, Measured]:
    """Return what each contestant took; those that can't be imported are left out."""
    if CONTESTS[contest].images is not None:
        table = data.manifest.table.iloc[: CONTESTS[contest].images]
        data = Data(Manifest(data.manifest.folder, table), data.whole)
    clock = time.perf_counter if CONTESTS[contest].by_wall else time.process_time
    works = {}
    for name, make in CONTESTS[contest].contestants.items():
        try:
            works[name] = make(data)
        except ImportError as error:
            if (error.name or "").startswith("mura_"):
                raise  # ours is never left out
    for name, work in works.items():
        if name not in _ONCE:
            work()  # caches fill, and libraries load what they load late
    measured = {name: Measured([]) for name in works}
    for turn in range(rounds):
        for name, work in works.items():
            if name in _ONCE and turn > 0:
                continue
            images = data.whole if contest == "the pass over all images" else data.manifest
            count = _IMAGES_OF_2019 if name in _ONCE else len(images.table)
            start = clock()
            work()
            measured[name].seconds.append((clock() - start) / count)
    return measured


def peak_mib(contestant: str, folder: Path, images: int) -> float:
    """Return the peak memory of a whole pass in a process of its own, above NumPy's."""
    command = [sys.executable, Path(__file__).with_name("peak_memory.py"), folder, str(images)]

    def run(name: str) -> float:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [*command, name], capture_output=True, text=True, check=True, env=environment
        )
        return float(done.stdout.split()[-1])

    return run(contestant) - run("nothing")
