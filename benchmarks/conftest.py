"""The data of the benchmarks, the contests once each, and the tables at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from contests import CONTESTS
from race import Measured, race
from work import Data

from mura_core.data import Manifest, read_manifest
from mura_core.phantoms import phantom_folder
from mura_core.pipeline import cache_folder

COUNT = 300
ROUNDS = 5

_RACES: dict[str, dict[str, Measured]] = {}
_GOALS: dict[str, tuple[float, str, float]] = {}


@pytest.fixture(scope="session")
def data_folder() -> Path:
    if "MURA_DATA" not in os.environ:
        return phantom_folder(cache_folder())
    folder = Path(os.environ["MURA_DATA"])
    return folder / "fracatlas" if (folder / "fracatlas").is_dir() else folder


@pytest.fixture(scope="session")
def races(data_folder: Path) -> Callable[[str], dict[str, Measured]]:
    manifest = read_manifest(data_folder)
    every = max(1, len(manifest.table) // COUNT)
    table = manifest.table.iloc[::every][:COUNT].reset_index(drop=True)
    data = Data(Manifest(manifest.folder, table), manifest)

    @cache
    def race_once(contest: str) -> dict[str, Measured]:
        _RACES[contest] = race(contest, data, ROUNDS)
        return _RACES[contest]

    return race_once


@pytest.fixture(scope="session")
def goals() -> dict[str, tuple[float, str, float]]:
    return _GOALS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    write = terminalreporter.write_line
    for contest, measured in _RACES.items():
        clock = "on the wall" if CONTESTS[contest].by_wall else "of CPU"
        first = next(iter(measured.values()))
        write(f"\n{contest}: microseconds {clock} an image, median of {ROUNDS} rounds in turn")
        for name, one in measured.items():
            peak = "" if one.peak_mib is None else f"{one.peak_mib:8.0f} MiB"
            write(f"  {name:28} {one.median * 1e6:9.1f} {one.median / first.median:8.2f} x {peak}")
    if _GOALS:
        write("\ngoals")
    for name, (value, sign, aim) in _GOALS.items():
        met = value <= aim if sign == "<=" else value >= aim
        write(f"  {name:66} {value:8.2f}  {sign} {aim:<4} {'met' if met else 'MISSED'}")
