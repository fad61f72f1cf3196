"""Say on the console what was left out: one line for each reason, for any number of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from mura_core.data import as_table
from mura_core.errors import DataError, printable
from mura_core.imaging import LeftOut

log = logging.getLogger("mura")

_NAMES = 3  # in a line
_KINDS = 10  # lines of files that aren't images, whose suffixes may be many


def say_left_out(
    unreadable: pd.DataFrame,
    total: int,
    files: Sequence[LeftOut] = (),
    folder: Path | None = None,
    *,
    listed_in: str,
    level: int = logging.INFO,
) -> None:
    """Log a line for each reason: a warning if it concerns files that may be radiographs.

    Parameters
    ----------
    unreadable : DataFrame
        `path` and `reason` of the images that can't be read.
    total : int
        Number of images, including those.
    files : sequence of LeftOut
        The other files that are left out.
    folder : Path, optional
        Folder that the paths of these files are shown relative to.
    listed_in : str
        Where all are listed, such as the name of a file.
    level : int
        Level of lines about files that aren't radiographs; information goes to standard output.
    """
    lost = as_table((file for file in files if file.is_lost), folder)
    others = as_table((file for file in files if not file.is_lost), folder)
    # The reasons of one kind can differ in numbers, and in what is in brackets or quotes.
    kinds = grouped(unreadable, lambda reason: re.split(r"[\d(:\"]", reason)[0])
    warnings = [f"{len(same)} of {total} images can't be read: {examples(same)}" for same in kinds]
    warnings += _lines(lost)
    lines = _lines(others)
    for line in warnings:
        log.warning("Left out: %s", printable(line))
    for line in lines:
        log.log(level, "Left out: %s", printable(line))
    if warnings or lines:
        level = logging.WARNING if warnings else level
        log.log(level, "All that is left out is listed %s", listed_in)


def refuse_left_out(
    unreadable: pd.DataFrame, total: int, files: Sequence[LeftOut] = (), folder: Path | None = None
) -> None:
    """Raise an error if a radiograph is left out, as `--strict` demands.

    Parameters
    ----------
    unreadable, total, files, folder
        See `say_left_out`.

    Raises
    ------
    DataError
        An image can't be read, or another file may be a radiograph.
    """
    lost = as_table((file for file in files if file.is_lost), folder)
    counts = (
        f"{len(unreadable)} of {total} images can't be read",
        f"{len(lost)} files or folders can't be read",
    )
    for said, table in zip(counts, (unreadable, lost), strict=True):
        if len(table):
            first = printable(" ".join(table.iloc[0]))
            raise DataError(f"{said}; the first: {first}. Without --strict, they are left out.")


def first_names(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are.

    Parameters
    ----------
    names : sequence of str
        The names, such as paths of files.
    """
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"


def examples(same: Sequence[tuple[str, str]]) -> str:
    """Return the first path with its reason, two further paths, and how many more there are.

    Parameters
    ----------
    same : sequence of (str, str)
        Paths and reasons of one kind, as `grouped` returns them.
    """
    names = [path for path, _ in same]
    (path, reason), others = same[0], names[1:_NAMES]
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"{path} {reason}" + (f"; {', '.join(others)}{more}" if others else "")


def grouped(table: pd.DataFrame, kind_of: Callable[[str], str]) -> list[list[tuple[str, str]]]:
    """Return the paths and reasons of each kind, in the order of the first of each kind.

    Parameters
    ----------
    table : DataFrame
        `path` and `reason`.
    kind_of : callable
        Returns the kind of a reason.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for path, reason in table.itertuples(index=False, name=None):
        kinds.setdefault(kind_of(reason), []).append((path, reason))
    return list(kinds.values())


def _lines(table: pd.DataFrame) -> list[str]:
    kinds = sorted(grouped(table, str), key=len, reverse=True)
    lines = [
        f"{len(same)} {'file' if len(same) == 1 else 'files'}: {examples(same)}"
        for same in kinds[:_KINDS]
    ]
    if rest := kinds[_KINDS:]:
        lines.append(f"{sum(map(len, rest))} files for {len(rest)} other reasons")
    return lines
