"""Find the separator and the columns of a user's own CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mura_core.data.columns import COLUMNS
from mura_core.errors import DataError, UsageError
from mura_core.tables import csv_lines

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}

_REQUIRED = ("path", "patient", "label")
_SPLIT = {
    "split", "set", "subset", "partition", "phase", "usage", "datasplit", "datasetsplit",
    "splitset", "splitname", "traintestsplit",
}  # fmt: skip
# Names that are suggested, but not used without being asked for.
_USUAL = {
    "path": {
        "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagename", "imageid",
        "img", "imgpath", "filestem", "id",
    },
    "body_part": {"part", "region", "anatomy", "site", "bone", "bodyregion"},
    "patient": {"pid", "patientid", "pat", "subject", "subjectid", "person", "case"},
    "study": {
        "exam", "examination", "studyid", "studynumber", "accession", "accessionnumber",
    },
    "label": {
        "abnormal", "fractured", "fracture", "frac", "target", "class", "diagnosis", "positive",
        "finding", "y", "groundtruth", "gt", "fracturevisible", "outcome", "labels",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The header of a CSV.

    Attributes
    ----------
    names : list of str
        The columns, as they are called in the file.
    separator : str
        The character between two fields.
    columns : dict of str to str
        The column of each of `COLUMNS` that the file has.
    """

    names: list[str]
    separator: str
    columns: Mapping[str, str]


def read_header(path: Path, wanted: Mapping[str, str]) -> Header:
    """Return the header of a CSV, with the columns that it has.

    Case, spaces and underscores in the names of columns are ignored. A column of splits may have
    any of its usual names.

    Parameters
    ----------
    path : Path
        The CSV file.
    wanted : mapping of str to str
        The columns that the user named, by what they hold.

    Raises
    ------
    DataError
        A column is missing or ambiguous.
    """
    names, separator = first_line(path)
    repeated = [name for name in names if names.count(name) > 1 and name]
    if repeated:
        raise DataError(f"{path}: line 1 names the column {repeated[0]!r} twice")
    columns = named_columns(path, wanted)
    missing = [name for name in COLUMNS[:5] if name not in columns]
    if any(name in missing for name in _REQUIRED):
        raise DataError(_missing(path, names, separator, missing))
    return Header(names, separator, columns)


def named_columns(path: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each of `COLUMNS` that a CSV has.

    Parameters
    ----------
    path : Path
        The CSV file.
    wanted : mapping of str to str
        The columns that the user named, by what they hold.

    Raises
    ------
    DataError
        A column that the user named is missing, or several columns may be the same.
    """
    names, _ = first_line(path)
    columns = {}
    for column in COLUMNS:
        if column in wanted:
            columns[column] = _named(path, names, column, wanted[column])
        elif found := _found(path, names, column):
            columns[column] = found
    return columns


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns that `--columns` names, by what they hold.

    Parameters
    ----------
    text : str
        Such as `path=filename,label=fractured`.

    Raises
    ------
    UsageError
        It isn't such a list.
    """
    columns: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, column = (word.strip() for word in part.partition("="))
        name = name.lower()
        if not equals or not column or name not in COLUMNS or name in columns:
            raise UsageError(
                f"--columns {part.strip()!r}: expected pairs such as path=filename,label=fractured,"
                f" of {', '.join(COLUMNS)}, each once"
            )
        columns[name] = column
    return columns


def first_line(path: Path) -> tuple[list[str], str]:
    """Return the columns in the first line of a CSV, and the separator that gives the most.

    Parameters
    ----------
    path : Path
        The CSV file.

    Raises
    ------
    DataError
        It isn't a CSV file in UTF-8.
    """
    fields = {one: next(csv_lines(path, one), (0, [""]))[1] for one in SEPARATORS}
    separator = max(SEPARATORS, key=lambda one: len(fields[one]))
    return [name.strip() for name in fields[separator]], separator


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _named(path: Path, names: list[str], column: str, wanted: str) -> str:
    if wanted in names:
        return wanted
    alike = [name for name in names if name.casefold() == wanted.casefold()]
    if len(alike) == 1:
        return alike[0]
    raise DataError(
        f"{path}: --columns {column}={wanted}: line 1 has no such column, but"
        f" {', '.join(map(repr, names))}"
    )


def _found(path: Path, names: list[str], column: str) -> str | None:
    """Return the column of this name, ignoring case, spaces and underscores."""
    if column in names:
        return column
    keys = {_key(column)}
    alike = [name for name in names if _key(name) in keys]
    if not alike and column == "split":
        alike = [name for name in names if _key(name) in _SPLIT]
    if len(alike) > 1:
        raise DataError(
            f"{path}: line 1: {' and '.join(map(repr, alike))} may both be the {column}; choose one"
            f" with --columns {column}={alike[0]}"
        )
    return alike[0] if alike else None


def _missing(path: Path, names: list[str], separator: str, missing: list[str]) -> str:
    found = f"line 1 has {', '.join(map(repr, names))}, separated by {SEPARATORS[separator]}"
    found = found if any(names) else "it is empty"
    alike = {column: name for column in missing for name in names if _key(name) in _USUAL[column]}
    named = ",".join(f"{column}={name}" for column, name in alike.items())
    remedy = f"--columns {named}" if named else "--columns, such as --columns path=filename"
    if "patient" in missing and "patient" not in alike:
        remedy += "; --columns patient=path counts each image as a patient"
    return (
        f"{path}: line 1 must name the columns {', '.join(COLUMNS)} (body_part, study and split may"
        f" be left out); missing: {', '.join(missing)}; {found}. Name other columns with {remedy}"
    )
