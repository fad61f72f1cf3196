"""Tables like that of the RSNA bone age challenge: `id, boneage, male`, and `<id>.png`.

Halabi et al. 2019, Radiology 290(2), doi:10.1148/radiol.2018180736. Bone age is no label: one must
be in a further column.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mura_core.data.layouts.csv_file import read_table
from mura_core.data.layouts.header import named_columns
from mura_core.data.layouts.tables import has_columns
from mura_core.data.layouts.walk import csv_files
from mura_core.errors import DataError
from mura_plugins import LabelledImages, LayoutOptions

_COLUMNS = ("id", "boneage")
_PART = "hand"


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether the data is a table of bone ages, or a folder with one.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    """
    return _table_of(data) is not None


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that a table of bone ages lists, if it also has a label.

    Parameters
    ----------
    data : Path
        The CSV file, or the folder that holds it.
    options : LayoutOptions
        The column of the label, and the values that mean abnormal.

    Raises
    ------
    DataError
        There is no column of labels, or a line isn't understood.
    """
    path = _table_of(data) or data
    columns = {"path": "id", "patient": "id", **named_columns(path, options.columns)}
    if "label" not in columns:
        raise DataError(
            f"{path}: lists bone ages, which are no labels; add a column 'label', or name one with"
            " --columns label=NAME and the value that means abnormal with --positive VALUE"
        )
    found = read_table(path, path.parent, replace(options, columns=columns))
    if "body_part" in columns:
        return found
    return replace(found, images=[one._replace(body_part=_PART) for one in found.images])


def _table_of(data: Path) -> Path | None:
    paths = [data] if data.is_file() else csv_files(data)
    found = [path for path in paths if has_columns(path, _COLUMNS)]
    return found[0] if len(found) == 1 else None
