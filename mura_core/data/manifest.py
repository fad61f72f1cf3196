"""Read a data set into a manifest: a table with one row per image, independent of the layout.

The manifest is a `pandas.DataFrame` with the columns `COLUMNS`, sorted by split, body part,
patient, study and path, so that the images of a body part within a split are contiguous.

- `path`: the file, relative to the data folder, with forward slashes;
- `body_part`: the name used in the data, such as XR_ELBOW; no list of body parts is built in;
- `patient`: one person, also if their images are of several body parts;
- `study`: unique within a patient and body part;
- `label`: 1 abnormal, 0 normal;
- `split`: `train` or `valid`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mura_core.data.columns import COLUMNS, SPLITS, STUDY
from mura_core.data.layouts import folder_rows, folder_with_csvs, mura_rows, plain_rows
from mura_core.data.levels import ALL
from mura_core.data.readers import installed_readers
from mura_core.data.seed import DEFAULT_SEED
from mura_core.data.splits import hold_out
from mura_core.errors import DataError, UsageError
from mura_core.files import replacing
from mura_core.imaging import Readers, suffixes_of

MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True)
class Manifest:
    """The table of a data set and its root folder.

    Attributes
    ----------
    folder : Path
        The folder that the paths in the table are relative to.
    table : DataFrame
        One row per image, with the columns `COLUMNS`.
    """

    folder: Path
    table: pd.DataFrame

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
        wanted = [_body_part(name, table["body_part"].unique()) for name in body_parts]
        if wanted:
            table = table[table["body_part"].isin(wanted)]
        if split is not None:
            table = table[table["split"] == split]
        return Manifest(self.folder, table.reset_index(drop=True))


def read_manifest(
    data: Path, seed: int = DEFAULT_SEED, *, split: bool = True, readers: Readers | None = None
) -> Manifest:
    """Return the manifest of a data set.

    Three layouts are supported:

    - a folder with `manifest.csv`, or that file under any name: a CSV with the manifest's columns
      and paths relative to its folder; the column `split` is optional;
    - MURA's layout: `<split>_image_paths.csv` and `<split>_labeled_studies.csv`, in the folder or
      in its only subfolder with such files; labels are read only from the latter;
    - a folder without CSVs: `[<split>/]<body part>/<patient>/<study>_positive/` or
      `..._negative/`, where the suffix is the label.

    Parameters
    ----------
    data : Path
        The folder or CSV file.
    seed : int
        Seed of the hold-out, for data without a split: a stratified fifth of the patients.
    split : bool
        Whether to hold out a fifth of the patients of data without a split. If False, all its
        images are `train`.
    readers : mapping, optional
        Functions that read further file formats, by suffix. In a folder without CSVs, files with
        these suffixes are listed as well. By default those of the installed plugins.

    Returns
    -------
    Manifest

    Raises
    ------
    DataError
        The data set is missing, empty or inconsistent.
    PluginError
        Two plugins read the same file format.
    """
    if not data.exists():
        raise DataError(f"{data}: no such file or folder. --data names a folder of radiographs.")
    if data.is_file():
        folder, rows = data.parent, list(plain_rows(data))
    elif (data / MANIFEST_NAME).is_file():
        folder, rows = data, list(plain_rows(data / MANIFEST_NAME))
    elif (mura := folder_with_csvs(data)) is not None:
        folder, rows = mura, list(mura_rows(mura))
    else:
        readers = installed_readers() if readers is None else readers
        folder, rows = data, list(folder_rows(data, suffixes_of(readers)))
    if not rows:
        raise DataError(
            f"{data}: no radiographs found. Expected MURA's CSVs, a {MANIFEST_NAME}, or "
            "folders <split>/<body part>/<patient>/<study>_positive|_negative/."
        )
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"label": "int8"})
    table = _with_split(table, data, seed if split else None)
    _refuse_contradictions(table, data)
    return Manifest(folder, table.sort_values(["split", *STUDY, "path"], ignore_index=True))


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
        path = folder / f"{split}_{body_part}_image_paths.csv"
        with replacing(path) as file:
            rows["path"].to_csv(file, header=False, index=False, lineterminator="\n")
        written.append(path)
    return written


def _body_part(name: str, known: Iterable[str]) -> str:
    # Accept "elbow" for MURA's XR_ELBOW.
    for body_part in known:
        if name.casefold() in (body_part.casefold(), body_part.casefold().removeprefix("xr_")):
            return body_part
    raise UsageError(f"--body-part {name!r} is not one of {', '.join(sorted(known))}")


# Checks ---------------------------------------------------------------------------------------


def _with_split(table: pd.DataFrame, data: Path, seed: int | None) -> pd.DataFrame:
    if (table["split"] == "").all():
        return table.assign(split="train" if seed is None else hold_out(table, seed=seed))
    unknown = sorted(set(table["split"]) - set(SPLITS))
    if unknown:
        raise DataError(
            f"{data}: the split {unknown[0]!r} is not one of {', '.join(SPLITS)}; give the split"
            " of every image or of none"
        )
    return table


def _refuse_contradictions(table: pd.DataFrame, data: Path) -> None:
    repeated = table["path"][table["path"].duplicated()]
    if len(repeated):
        raise DataError(f"{data}: {repeated.iloc[0]} is listed more than once")
    sides = table.groupby("patient")["split"].nunique()
    straddling = sides.index[sides > 1]
    if len(straddling):
        raise DataError(
            f"{data}: {len(straddling)} patients are in both splits, for example {straddling[0]};"
            " all images of a patient must be in the same split"
        )
