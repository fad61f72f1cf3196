"""Read CSV tables with column types declared once for all tables.

The type of a column depends only on its name. Patient 0012 stays 0012, a body part named NA stays
NA, and numbers are read back exactly as written.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mura_core.errors import DataError
from mura_core.files import restored

if TYPE_CHECKING:
    import pandas as pd

_TEXT = frozenset(
    {
        "path", "body_part", "patient", "study", "split", "reason", "collapse",
        "least_active_layer", "explainer", "layer", "toward", "style", "map", "heatmap", "overlay",
        "verdict", "study_verdict", "scale_of", "split_by",
    }
)  # fmt: skip
_WHOLE_NUMBERS = frozenset(
    {
        "label", "fold", "seed", "run_seed", "epoch", "images", "studies",
        "patients", "height", "width", "bits", "darkest", "brightest",
    }
)  # fmt: skip
_TRUTHS = frozenset({"signed", "empty", "flips"})
_FLOAT32 = frozenset({"logit"})  # as networks compute it
# A byte of a file name that isn't UTF-8, as `mura_core.files` escapes it.
_ESCAPED = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")
_AS_TRUTH = {"True": True, "False": False}


def read_table(path: Path, columns: Collection[str] = ()) -> pd.DataFrame:
    """Return a CSV file with a header as a DataFrame.

    Parameters
    ----------
    path : Path
        The CSV file, in UTF-8.
    columns : collection of str
        Required columns. Those without a declared type are floats. Any other column without a
        declared type is float if all its cells are numbers, otherwise text.

    Returns
    -------
    DataFrame
        Text columns are str (an empty cell is an empty string), integers int64, booleans bool, and
        floats float64 (`logit` float32; an empty cell is NaN).

    Raises
    ------
    DataError
        The file is missing, isn't CSV in UTF-8 or lacks a required column, or a cell doesn't have
        its column's type.
    """
    import pandas as pd

    lines = csv_lines(path)
    _, header = next(lines, (0, []))
    if not header:
        raise DataError(f"{path}: is not a CSV table (the file is empty)")
    for column in columns:
        if column not in header:
            raise DataError(f"{path}: has no column {column!r}; expected {', '.join(columns)}")
    numbers, rows = [], []
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{path}: line {number}: {len(cells)} fields, but the header has {len(header)}"
            )
        numbers.append(number)
        rows.append(cells)
    texts = dict(zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True))
    return pd.DataFrame(
        {
            name: _typed(path, name, cells, numbers, strict=name in columns)
            for name, cells in texts.items()
        }
    )


def csv_lines(path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    r"""Yield the line number and the fields of each non-blank line of a CSV file.

    Parameters
    ----------
    path : Path
        The CSV file, in UTF-8 with or without a byte order mark.
    separator : str
        The character between two fields.

    Yields
    ------
    number : int
        Line number, from 1.
    fields : list of str
        The fields of the line. An apostrophe before a formula is dropped. Escaped file names that
        aren't UTF-8, such as h\udce9.png, are restored to the names that open the files.

    Raises
    ------
    DataError
        The file is missing, or isn't CSV in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=separator)
            for fields in reader:
                if fields:
                    yield reader.line_num, [_restored(field) for field in fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is not a CSV file in UTF-8 ({error})") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None


def _restored(field: str) -> str:
    field = restored(field)
    if "\\u" not in field:
        return field
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), field)


def _typed(
    path: Path, name: str, cells: Sequence[str], numbers: Sequence[int], *, strict: bool
) -> Any:
    """Return a column's cells as an array of the column's type."""
    if name in _TEXT:
        return np.array(cells, object)
    if name in _WHOLE_NUMBERS:
        return np.array(_parsed(path, name, cells, numbers, int, "an integer"), np.int64)
    if name in _TRUTHS:
        return np.array(
            _parsed(path, name, cells, numbers, _AS_TRUTH.__getitem__, "True or False"), bool
        )
    try:
        # Python's float() restores the exact value that was written.
        reals = _parsed(path, name, cells, numbers, _real, "a number")
    except DataError:
        if strict:
            raise
        return np.array(cells, object)
    return np.array(reals, np.float32 if name in _FLOAT32 else np.float64)


def _parsed(
    path: Path,
    name: str,
    cells: Sequence[str],
    numbers: Sequence[int],
    parse: Callable[[str], Any],
    wanted: str,
) -> list[Any]:
    parsed = []
    for number, cell in zip(numbers, cells, strict=True):
        try:
            parsed.append(parse(cell))
        except (ValueError, KeyError):
            raise DataError(f"{path}: line {number}: {name} {cell!r} is not {wanted}") from None
    return parsed


def _real(text: str) -> float:
    return float(text) if text else np.nan
