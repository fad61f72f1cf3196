"""Read a data set into a manifest: a table with one row per image, independent of the layout.

The manifest is a `pandas.DataFrame` with the columns `COLUMNS`, sorted by split, body part,
patient, study and path, so that the images of a body part within a split are contiguous.

- `path`: the file, relative to the data folder, with forward slashes;
- `body_part`: the name used in the data, such as XR_ELBOW; no list of body parts is built in;
- `patient`: one person, also if their images are of several body parts;
- `study`: unique within a patient and body part;
- `label`: 1 abnormal, 0 normal;
- `split`: `train`, `valid` or `test`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from mura_core.data.checks import (
    CONTRADICTIONS,
    contradictions_of,
    refuse_contradictions,
    refuse_invalid,
    with_split,
)
from mura_core.data.columns import COLUMNS, STUDY
from mura_core.data.layouts.header import parse_columns
from mura_core.data.layouts.structure import EXPECTED
from mura_core.data.left_out import other_files
from mura_core.data.levels import ALL
from mura_core.data.readers import installed_readers
from mura_core.data.reading import Reading
from mura_core.data.seed import DEFAULT_SEED
from mura_core.errors import DataError, UsageError, printable
from mura_core.files import write_csv
from mura_core.imaging import SUFFIXES, LeftOut, Readers, files_below
from mura_plugins import LabelledImages, LayoutOptions
from mura_plugins.manager import Plugins, call_layout, load_plugins

_NAME_CHARACTERS = 50  # of a body part in the name of a file


@dataclass(frozen=True)
class Manifest:
    """The table of a data set and its root folder.

    Attributes
    ----------
    folder : Path
        The folder that the paths in the table are relative to.
    table : DataFrame
        One row per image, with the columns `COLUMNS`.
    names_split : bool
        Whether the data names the split of its images; otherwise it was dealt by a seed.
    notes : tuple of str
        Sentences for the user: what was assumed, and how the data was split.
    contradictions : DataFrame
        The images whose label contradicts the name of their study's folder: `path`, `label` (that
        counts) and `reason`.
    annotations : Path or None
        JSON file in COCO's format with the boxes of findings, if the data has one.
    layout : str
        Name of the layout that recognised the data.
    left_out : tuple of LeftOut
        All other files of the data set, such as images that a CSV doesn't list.
    """

    folder: Path
    table: pd.DataFrame
    names_split: bool = True
    notes: tuple[str, ...] = ()
    contradictions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=CONTRADICTIONS)
    )
    annotations: Path | None = None
    layout: str = ""
    left_out: tuple[LeftOut, ...] = ()

    def of(self, body_parts: Iterable[str] = (), split: str | None = None) -> Manifest:
        """Return the manifest of some body parts or of a split.

        Parameters
        ----------
        body_parts : iterable of str
            Body parts, ignoring case and MURA's prefix "XR_"; all if empty.
        split : str, optional
            Split; all by default.

        Returns
        -------
        Manifest

        Raises
        ------
        UsageError
            A body part isn't in the data.
        """
        table = self.table
        known = table["body_part"].unique()
        wanted = {name: _body_parts(name, known) for name in body_parts}
        notes = [
            f"--body-part {name} takes {' and '.join(parts)}."
            for name, parts in wanted.items()
            if len(parts) > 1
        ]
        if wanted:
            table = table[table["body_part"].isin(set().union(*wanted.values()))]
        if split is not None:
            table = table[table["split"] == split]
        return replace(self, table=table.reset_index(drop=True), notes=(*self.notes, *notes))


def read_manifest(
    data: Path,
    seed: int = DEFAULT_SEED,
    *,
    split: bool = True,
    readers: Readers | None = None,
    reading: Reading | None = None,
) -> Manifest:
    """Return the manifest of a data set.

    The layouts are those of the installed plugins. The built-in ones are:

    - a CSV file with the manifest's columns, or a folder with that file as `manifest.csv`; `split`,
      `study` and `body_part` are optional;
    - MURA's layout: `<split>_image_paths.csv` and `<split>_labeled_studies.csv`, in the folder, in
      its only subfolder with such files, or next to it; labels are read only from the latter;
    - a folder without CSVs: `[<split>/]<body part>/<patient>/<study>_positive/` or
      `..._negative/`, where the suffix is the label.

    The names of splits are recognised in any case: train, training; val, valid, validation; test,
    testing. Data with `train` and `test` only is validated on `test`.

    Parameters
    ----------
    data : Path
        The folder or CSV file.
    seed : int
        Seed of the hold-out, for data without a split: a stratified fifth of the patients.
    split : bool
        Whether to hold out a fifth of the patients of data without a split, and to validate on
        `test` images where there are no others. If False, data without a split is all `train`.
    readers : mapping, optional
        Functions that read further file formats, by suffix and by signature. Their files are
        images, too. By default those of the installed plugins.
    reading : Reading, optional
        The columns of a CSV, the labels that mean abnormal, and whether paths may lead outside.

    Returns
    -------
    Manifest

    Raises
    ------
    DataError
        The data set is missing, empty or inconsistent.
    PluginError
        Two plugins read the same file format or layout.
    """
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. --data names a folder of radiographs.")
    plugins = load_plugins()
    readers = installed_readers(plugins) if readers is None else readers
    layout, found = _read(data, plugins, readers, reading or Reading())
    if not found.images:
        raise DataError(
            f"{data}: no radiographs found{_what_is_there(data, readers)}. Expected MURA's CSVs, a"
            f" manifest.csv, or folders {EXPECTED}."
        )
    table = pd.DataFrame(found.images, columns=COLUMNS).astype({"label": "int8"})
    names_split = bool((table["split"] != "").any())
    notes = list(found.notes)
    table = with_split(table, data, seed if split else None, notes)
    refuse_contradictions(table, data)
    return Manifest(
        found.folder,
        table.sort_values(["split", *STUDY, "path"], ignore_index=True),
        names_split,
        tuple(notes),
        contradictions_of(table),
        found.annotations,
        layout,
        tuple(other_files(data, found.folder, table["path"], {*SUFFIXES, *readers})),
    )


def _read(
    data: Path, plugins: Plugins, readers: Readers, reading: Reading
) -> tuple[str, LabelledImages]:
    """Return the name of the layout that recognises a data set, and the images that it reads."""
    options = LayoutOptions(
        frozenset({*SUFFIXES, *(kind for kind in readers if isinstance(kind, str))}),
        parse_columns(reading.columns),
        reading.positive,
        reading.allow_outside,
        frozenset(kind for kind in readers if not isinstance(kind, str)),
    )
    layout = plugins.layout_of(data, options)
    images = call_layout(layout, layout.read, data, options)
    refuse_invalid(images, data, layout.name)
    return layout.name, images


def _what_is_there(data: Path, readers: Readers) -> str:
    """Return a clause that counts the files that aren't images, or nothing."""
    files = files_below(data, {*SUFFIXES, *readers}).left_out if data.is_dir() else []
    if not files:
        return ""
    first = files[0]
    name = printable(first.path.relative_to(data).as_posix())
    return f" ({len(files)} other files; the first: {name} {first.reason})"


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Count the images, studies and patients per split, body part and label.

    If there are several body parts, rows for the body part ALL are added, in which each patient
    counts once.

    Parameters
    ----------
    table : DataFrame
        A manifest's table.

    Returns
    -------
    DataFrame
        With the columns `split`, `body_part`, `label`, `images`, `studies` and `patients`.
    """
    table = table.assign(study_key=table[STUDY].agg("\0".join, axis=1))
    table = table.sort_values(["split", "body_part", "label"], kind="stable")
    if len(table["body_part"].unique()) > 1:
        table = pd.concat([table, table.assign(body_part=ALL)])
    grouped = table.groupby(["split", "body_part", "label"], sort=False)
    counts = grouped.agg(
        images=("path", "size"), studies=("study_key", "nunique"), patients=("patient", "nunique")
    )
    return counts.reset_index()


def write_csv_by_part(manifest: Manifest, folder: Path) -> list[Path]:
    """Write the 2019 report's path files, one per split and body part.

    `<split>_<body part>_image_paths.csv` has MURA's format: one path per line and no header.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    folder : Path
        Output folder, created if it doesn't exist.

    Returns
    -------
    list of Path
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for (split, body_part), rows in manifest.table.groupby(["split", "body_part"]):
        path = folder / f"{split}_{file_name_of(str(body_part))}_image_paths.csv"
        write_csv(path, rows[["path"]], header=False)
        written.append(path)
    return written


def file_name_of(body_part: str) -> str:
    """Return a name for files of a body part.

    A name that can't be a file name as it is gets a digest, which tells `hand/left` and `hand-left`
    apart.

    Parameters
    ----------
    body_part : str
        Name of the body part.
    """
    name = re.sub(r"[^\w.-]+", "-", body_part)[:_NAME_CHARACTERS]
    if name == body_part:
        return name
    return f"{name}-{hashlib.sha256(body_part.encode(errors='backslashreplace')).hexdigest()[:8]}"


def _body_parts(name: str, known: Iterable[str]) -> list[str]:
    """Return the body parts of a name, ignoring case and MURA's prefix "XR_"."""
    wanted = name.casefold().removeprefix("xr_")
    found = [part for part in sorted(known) if part.casefold().removeprefix("xr_") == wanted]
    if not found:
        raise UsageError(f"--body-part {name!r} is not one of {', '.join(sorted(known))}")
    return found
