"""What the cache holds: prepared images, statistics and phantoms, whole or half-made."""

from __future__ import annotations

import re
import shutil
import stat
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from mura_core.data.cache_lock import HOLDER, LOCK, locked_if_free
from mura_core.data.prepared import PARTIAL
from mura_core.data.prepared_checks import damage_of
from mura_core.errors import DataError
from mura_core.files import is_left_over
from mura_core.phantoms import damage_of_phantoms
from mura_core.tables import csv_lines

_SET = re.compile(r"[0-9a-f]{32}(\..+)?")  # as `prepared_name` names them, with any suffix
_PHANTOMS = re.compile(r"phantoms-\d+")
_LOCKS = (LOCK, HOLDER)
_DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class CacheEntry:
    """What belongs together in the cache.

    Attributes
    ----------
    path : Path
        The entry without a suffix, such as `prepared/<digest>`.
    kind : {"images", "statistics", "phantoms", "temporary"}
        What it holds.
    paths : tuple of Path
        Its files and folders.
    size : int
        Bytes in its files.
    last_used : float
        When it was used last, in seconds since 1970.
    is_half_made : bool
        Whether its making was interrupted, or is still under way.
    """

    path: Path
    kind: str
    paths: tuple[Path, ...]
    size: int
    last_used: float
    is_half_made: bool

    def is_unused(self, days: float) -> bool:
        """Return whether it isn't finished, or nothing has used it for some days.

        Parameters
        ----------
        days : float
            The number of days.
        """
        return self.is_half_made or time.time() - self.last_used > days * _DAY

    def about(self) -> str:
        """Return what is in it, such as "108 images of 32 pixels, the first train/a.png"."""
        if self.kind != "images" or self.is_half_made:
            return "half-made" if self.is_half_made else ""
        try:
            count, size, _ = np.load(self.path / "images.npy", mmap_mode="r").shape
            lines = csv_lines(self.path / "images.csv")
            next(lines)
            first = next(lines)[1][0]
        except (OSError, ValueError, StopIteration, DataError):
            return "damaged"
        return f"{count} images of {size} pixels, the first {first}"

    def damage(self) -> str | None:
        """Return what is damaged in it, if it is finished, or None."""
        if self.kind == "images":
            return damage_of(self.path)
        if self.kind == "phantoms":
            return damage_of_phantoms(self.path)
        for path in self.paths:
            if path.suffix == ".npz":
                try:
                    with zipfile.ZipFile(path) as archive:
                        damaged = archive.testzip()
                except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                    damaged = str(error)
                if damaged:
                    return f"{path.name} is damaged ({damaged})"
        return None

    def remove(self) -> bool:
        """Remove it unless a process holds its lock, and return whether it was removed.

        Raises
        ------
        OSError
            A file can't be removed.
        """
        with locked_if_free(self.path) as is_free:
            if not is_free:
                return False
            for path in (*self.paths, self.path.with_suffix(LOCK)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        return True


def cache_entries(cache_folder: Path) -> list[CacheEntry]:
    """Return what is in the cache, the longest unused first. Other files are ignored.

    Parameters
    ----------
    cache_folder : Path
        The folder of the cache, which may be missing.

    Returns
    -------
    list of CacheEntry
    """
    found = [
        *_sets(cache_folder / "prepared", "images"),
        *_sets(cache_folder / "statistics", "statistics"),
    ]
    for path in _plain(cache_folder):
        if _PHANTOMS.fullmatch(path.name):
            found.append(_entry(path, "phantoms", [path]))
        elif is_left_over(path):
            found.append(_entry(path, "temporary", [path]))
    return sorted(found, key=lambda entry: (entry.last_used, str(entry.path)))


def _sets(folder: Path, kind: str) -> Iterator[CacheEntry]:
    paths = _plain(folder)
    named = [path for path in paths if _SET.fullmatch(path.name)]
    for name, group in groupby(named, key=lambda path: path.name.split(".")[0]):
        own = list(group)
        only_locks = all(path.suffix in _LOCKS for path in own)
        yield _entry(folder / name, "temporary" if only_locks else kind, own)
    for path in paths:
        if is_left_over(path):
            yield _entry(path, "temporary", [path])


def _entry(path: Path, kind: str, paths: Iterable[Path]) -> CacheEntry:
    paths = tuple(paths)
    # A lock is also taken by a prune that finds nothing to remove.
    used = [one for one in paths if one.suffix not in _LOCKS] or paths
    files = [*used, *(file for one in used if one.is_dir() for file in one.rglob("*"))]
    states = []
    for file in files:
        with suppress(FileNotFoundError):  # another process may remove it
            states.append(file.lstat())
    names = {one.name for one in paths}
    finished = {"images": path.name, "statistics": f"{path.name}.npz", "phantoms": path.name}
    return CacheEntry(
        path,
        kind,
        paths,
        sum(state.st_size for state in states if stat.S_ISREG(state.st_mode)),
        max((state.st_mtime for state in states), default=0.0),
        is_half_made=finished.get(kind) not in names or f"{path.name}{PARTIAL}" in names,
    )


def _plain(folder: Path) -> list[Path]:
    """Return the files and folders in a folder, sorted, without links."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())
