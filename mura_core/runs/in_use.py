"""Mark a run folder as used by a process, so that no other uses it or what it left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mura_core.errors import DataError, UsageError
from mura_core.files import is_left_over, process_of, remove_leftovers, temporary_sibling

_MARK = "running.txt"
_TEXT = "A process of mura-run uses this folder. Its number is in the name of this file.\n"

# What a run, or a prediction with heatmaps, writes before its first result.
_BEFORE_RESULTS = frozenset(
    {
        "config.yaml", "environment.json", "counts.csv", "left_out.csv", "unusual.csv",
        "usual.json", "contradictions.csv", "splits.csv", "statistics.npz", "augmented.png",
        "fault.txt",
    }
)  # fmt: skip
_HEATMAPS = "heatmaps"


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Mark a folder as used by this process during the block, and remove temporary files in it.

    A process that is killed leaves its mark, by which `has_killed_start` knows it.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    UsageError
        Another process uses the folder.
    DataError
        The folder can't be written to.
    """
    refuse_in_use(folder)
    remove_leftovers(folder, below=True)
    mark = temporary_sibling(folder / _MARK)
    try:
        mark.write_text(_TEXT, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: can't be written to ({error.strerror})") from error
    try:
        refuse_in_use(folder)  # two processes may have started at the same time
        yield
    finally:
        mark.unlink(missing_ok=True)


def refuse_in_use(folder: Path) -> None:
    """Raise a UsageError if another running process of this machine uses a folder.

    Parameters
    ----------
    folder : Path
        The run folder, which may be missing.
    """
    for mark in _marks(folder):
        if not is_left_over(mark) and (process := process_of(mark)):
            raise UsageError(
                f"{folder} is used by process {process}: wait until it ends, or name another"
                f" folder. If that process isn't mura-run, delete {mark}"
            )


def has_killed_start(folder: Path) -> bool:
    """Return whether a folder holds only what a process wrote that was killed before any result.

    Parameters
    ----------
    folder : Path
        The run folder.
    """
    marks = _marks(folder)
    if not marks or not all(map(is_left_over, marks)):
        return False
    return all(
        path.is_dir()
        or path.name in _BEFORE_RESULTS
        or is_left_over(path)
        or path.relative_to(folder).parts[0] == _HEATMAPS
        for path in folder.rglob("*")
    )


def clear(folder: Path) -> None:
    """Remove everything in a folder that this process uses, but its mark.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    marks = _marks(folder)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in marks:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _marks(folder: Path) -> list[Path]:
    return list(folder.glob(f".{Path(_MARK).stem}.*{Path(_MARK).suffix}"))
