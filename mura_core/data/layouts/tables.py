"""Read the tables that published data sets come with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mura_core.data.layouts.header import first_line
from mura_core.data.layouts.walk import subfolders
from mura_core.errors import DataError
from mura_core.tables import csv_lines


def has_columns(path: Path, columns: Sequence[str]) -> bool:
    """Return whether a file is a CSV with these columns, ignoring case.

    Parameters
    ----------
    path : Path
        The file, which may be missing.
    columns : sequence of str
        Names of columns.
    """
    try:
        names, _ = first_line(path) if path.is_file() else ([], "")
    except DataError:
        return False
    return set(columns) <= {name.casefold() for name in names}


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a table by the lower-case names of its columns.

    Parameters
    ----------
    path : Path
        The CSV file.
    columns : sequence of str
        Columns; the first must not be empty.

    Yields
    ------
    where : str
        File and line, for error messages.
    row : dict of str to str

    Raises
    ------
    DataError
        A row has too few or too many fields, or no name.
    """
    names, separator = first_line(path)
    lines = csv_lines(path, separator)
    next(lines)
    for number, fields in lines:
        where = f"{path}: line {number}"
        if len(fields) != len(names):
            raise DataError(f"{where}: {len(fields)} fields, but the header has {len(names)}")
        row = {name.casefold(): text.strip() for name, text in zip(names, fields, strict=True)}
        if not row[columns[0]]:
            raise DataError(f"{where}: {columns[0]} is empty")
        yield where, row


def root_of(data: Path, is_root: Callable[[Path], bool]) -> Path | None:
    """Return a folder or its only subfolder that is the root of a data set, or None.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    is_root : callable
        Whether a folder is the root.
    """
    if not data.is_dir():
        return None
    if is_root(data):
        return data
    found = [path for path in subfolders(data) if is_root(path)]
    return found[0] if len(found) == 1 else None
