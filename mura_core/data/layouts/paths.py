"""Check the paths that a CSV lists, and find the folder that they are relative to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mura_core.data.layouts.walk import subfolders
from mura_core.errors import DataError

_DRIVE = re.compile(r"[A-Za-z]:/")
_TRIED = 20  # paths that must not all be missing


def posix_path(text: str, where: str) -> PurePosixPath:
    """Return a path with forward slashes, refusing what no file name can hold.

    Parameters
    ----------
    text : str
        The path, with forward slashes or backslashes.
    where : str
        File and line, for the error message.

    Raises
    ------
    DataError
        The path has a null character.
    """
    if "\0" in text:
        raise _outside(text, where, "")
    return PurePosixPath(text.replace("\\", "/"))


def inner_path(text: str, where: str) -> PurePosixPath:
    """Return a relative path that doesn't lead out of its folder.

    Parameters
    ----------
    text : str
        The path, with forward slashes or backslashes.
    where : str
        File and line, for the error message.

    Raises
    ------
    DataError
        The path is absolute or has a part `..`.
    """
    path = posix_path(text, where)
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(path.as_posix()):
        raise _outside(text, where, "")
    return path


def own_path(text: str, where: str, folder: Path, *, allow_outside: bool) -> str:
    """Return a path of the user's own CSV, relative to its folder if it lies below it.

    Parameters
    ----------
    text : str
        The path; it may be absolute.
    where : str
        File and line, for the error message.
    folder : Path
        The folder of the CSV.
    allow_outside : bool
        Whether the path may lead out of the folder. It is absolute then.

    Raises
    ------
    DataError
        The path leads out of the folder.
    """
    path = posix_path(text, where)
    if _DRIVE.match(path.as_posix()):
        raise _outside(text, where, "")
    if not path.is_absolute() and ".." not in path.parts:
        return path.as_posix()
    root = folder.resolve()
    full = (root / path).resolve() if ".." in path.parts else root / path
    for start in (root, folder.absolute()):
        if full.is_relative_to(start):
            return full.relative_to(start).as_posix()
    if not allow_outside:
        raise _outside(text, where, "; --allow-outside allows other folders")
    return full.as_posix()


def base_of(folder: Path, paths: Sequence[str]) -> str:
    """Return the subfolder that relative paths start from; empty if it is the folder itself.

    The CSV may lie next to the folder that it speaks of.

    Parameters
    ----------
    folder : Path
        The folder of the CSV.
    paths : sequence of str
        Paths as the CSV has them.

    Raises
    ------
    DataError
        The files are in several subfolders.
    """
    tried = paths[:_TRIED]
    if not tried or any((folder / path).is_file() for path in tried):
        return ""
    inner = subfolders(folder)
    found = [sub.name for sub in inner if any((sub / path).is_file() for path in tried)]
    if len(found) > 1:
        raise DataError(
            f"{folder}: {tried[0]} may be in {found[0]} or in {found[1]}; begin the paths with the"
            " name of the folder"
        )
    return found[0] if found else ""


def _outside(text: str, where: str, remedy: str) -> DataError:
    return DataError(
        f"{where}: {text!r} is not a path in the data folder; paths must be relative, without"
        f" '..'{remedy}"
    )
