"""The files of a data set that aren't images of its manifest, with the reason."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mura_core.errors import DataError
from mura_core.files import write_csv
from mura_core.imaging import ALREADY_READ, LITTER, Kind, LeftOut, files_below

if TYPE_CHECKING:
    from mura_core.data.manifest import Manifest

LEFT_OUT = ["path", "reason"]
_NOT_LISTED = "is not listed in the CSV"

# The tables of a data set are in its folder, or in the folder above.
_TABLES = (".csv", ".json")


def with_files(unreadable: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Return images that can't be read, followed by the other files that are left out.

    Parameters
    ----------
    unreadable : DataFrame
        `path` and `reason` of the images.
    manifest : Manifest
        The manifest of the data, with its other files.
    """
    others = as_table(manifest.left_out, manifest.folder)
    return pd.concat([unreadable, others], ignore_index=True)


def write_list(path: Path, table: pd.DataFrame) -> str:
    """Write a list that is only for people to read, and return where it is.

    Parameters
    ----------
    path : Path
        CSV file to write, in the cache, which may be read-only.
    table : DataFrame
        The list.

    Returns
    -------
    str
        Such as "in <path>", which follows "is listed".
    """
    try:
        write_csv(path, table)
    except DataError as error:
        return f"nowhere: {error}"
    return f"in {path}"


def other_files(
    data: Path, folder: Path, paths: Collection[str], kinds: Collection[Kind]
) -> list[LeftOut]:
    """Return the files of a data set that aren't images of its manifest.

    Parameters
    ----------
    data : Path
        Folder of the data set, or a CSV. The files of a CSV are those below the innermost folder
        that holds all images that it lists.
    folder : Path
        The folder that the paths are relative to.
    paths : collection of str
        The images of the manifest, at least one.
    kinds : collection of str or (int, bytes)
        Suffixes and signatures of image files.

    Returns
    -------
    list of LeftOut
        Sorted by path. Tables in the data set's folder, and in the folder above, aren't among them:
        layouts read them.

    Raises
    ------
    DataError
        The folder can't be opened.
    """
    listed = {str(folder / path) for path in paths}
    below = data
    if data.is_file():
        folders = {os.path.dirname(path) for path in listed}  # noqa: PTH120 - a Path costs more
        below = Path(os.path.commonpath(folders))
        if not below.is_dir():
            return []
    files = files_below(below, kinds)
    others = [path for path in files.images if str(path) not in listed]
    # An image that is listed under another path, through a link, is listed.
    known = set(_identities(listed)) if others else set()
    left_out = [
        LeftOut(path, _NOT_LISTED) for path in others if known.isdisjoint(_identities([path]))
    ]
    above = (below, folder, folder.parent)
    left_out += [
        file
        for file in files.left_out
        if str(file.path) not in listed
        and not _is_table(file, above)
        and not _is_used(file, listed)
    ]
    return sorted(left_out)


def as_table(left_out: Iterable[LeftOut], folder: Path | None = None) -> pd.DataFrame:
    """Return files that are left out as a table.

    Parameters
    ----------
    left_out : iterable of LeftOut
        The files.
    folder : Path, optional
        The folder that paths in the table are relative to; by default they stay as they are.

    Returns
    -------
    DataFrame
        `path` and `reason`.
    """
    rows = [(_relative(file.path, folder), file.reason) for file in left_out]
    return pd.DataFrame(rows, columns=LEFT_OUT)


def _is_table(file: LeftOut, folders: Collection[Path]) -> bool:
    is_known = file.path.parent in folders and file.path.suffix.lower() in _TABLES
    return is_known and file.reason != LITTER


def _is_used(file: LeftOut, listed: Iterable[str]) -> bool:
    """Return whether images are listed through a link to a folder that is read without it."""
    inside = f"{file.path}{os.sep}"
    return file.reason == ALREADY_READ and any(path.startswith(inside) for path in listed)


def _relative(path: Path, folder: Path | None) -> str:
    return str(path) if folder is None else Path(os.path.relpath(path, folder)).as_posix()


def _identities(paths: Iterable[str | Path]) -> Iterator[tuple[int, int]]:
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path costs more
        except OSError:
            continue
        yield status.st_dev, status.st_ino
