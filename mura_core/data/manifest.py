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

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from mura_core.data.readers import installed_readers
from mura_core.data.seed import DEFAULT_SEED
from mura_core.data.splits import hold_out
from mura_core.errors import DataError, UsageError
from mura_core.files import replacing
from mura_core.imaging import SUFFIXES, Readers
from mura_core.tables import csv_lines

COLUMNS = ["path", "body_part", "patient", "study", "label", "split"]
# The columns that identify a study, and the 2019 report's 'patient': a person with two body parts
# counts twice.
STUDY = ["body_part", "patient", "study"]
PATIENT_WITHIN_PART = ["body_part", "patient"]
SPLITS = ("train", "valid")
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
        folder, rows = data.parent, list(_plain_rows(data))
    elif (data / MANIFEST_NAME).is_file():
        folder, rows = data, list(_plain_rows(data / MANIFEST_NAME))
    elif (mura := _folder_with_csvs(data)) is not None:
        folder, rows = mura, list(_mura_rows(mura))
    else:
        readers = installed_readers() if readers is None else readers
        folder, rows = data, list(_folder_rows(data, {*SUFFIXES, *readers}))
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
        table = pd.concat([table, table.assign(body_part="ALL")])
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


# Layouts --------------------------------------------------------------------------------------

Row = tuple[str, str, str, str, int, str]


def _plain_rows(path: Path) -> Iterator[Row]:
    lines = _csv_lines(path)
    _, header = next(lines, (0, []))
    missing = [name for name in COLUMNS if name not in header and name != "split"]
    if missing:
        raise DataError(
            f"{path}: line 1 must name the columns {', '.join(COLUMNS)} (split may be left out);"
            f" missing: {', '.join(missing)}"
        )
    for number, values in lines:
        where = f"{path}: line {number}"
        if len(values) != len(header):
            raise DataError(f"{where}: {len(values)} fields, but the header has {len(header)}")
        row = dict(zip(header, values, strict=True))
        for name in COLUMNS[:4]:
            if not row[name]:
                raise DataError(f"{where}: {name} is empty")
        yield (
            _safe_path(row["path"], where),
            row["body_part"],
            row["patient"],
            row["study"],
            _label(row["label"], where),
            row.get("split", ""),
        )


def _mura_rows(folder: Path) -> Iterator[Row]:
    for split in SPLITS:
        paths = folder / f"{split}_image_paths.csv"
        if not paths.is_file():
            continue
        labels_file = folder / f"{split}_labeled_studies.csv"
        labels = _study_labels(labels_file)
        for number, values in _mura_lines(paths):
            where = f"{paths}: line {number}"
            # MURA's paths start with the original name of the folder that holds the CSVs. Ignore
            # it: the folder may have been renamed.
            image = PurePosixPath(_safe_path(values[0], where)).parts[-5:]
            if len(image) < 5:
                raise DataError(
                    f"{where}: {values[0]!r} is not <split>/<body part>/<patient>/<study>/<image>"
                )
            _, body_part, patient, study, _ = image
            if image[:-1] not in labels:
                raise DataError(
                    f"{where}: the study of {values[0]!r} has no label in {labels_file.name}"
                )
            label = labels[image[:-1]]
            yield "/".join(image), body_part, patient, _without_label(study), label, split


def _study_labels(path: Path) -> dict[tuple[str, ...], int]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; it must hold the labels of the studies")
    labels: dict[tuple[str, ...], int] = {}
    for number, values in _mura_lines(path):
        where = f"{path}: line {number}"
        if len(values) < 2:
            raise DataError(f"{where}: expected a study's path and its label, 0 or 1")
        study = PurePosixPath(_safe_path(values[0], where)).parts[-4:]
        label = _label(values[1], where)
        if labels.setdefault(study, label) != label:
            raise DataError(f"{where}: {values[0]!r} has the label {labels[study]} in a line above")
    return labels


def _mura_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, values in _csv_lines(path):
        # One public copy of the CSVs has a header row; most have none.
        if number > 1 or "/" in values[0]:
            yield number, values


def _folder_rows(folder: Path, suffixes: Collection[str]) -> Iterator[Row]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        relative = path.relative_to(folder)
        *above, body_part, patient, study, _ = ("", "", "", *relative.parts)
        label = {"positive": 1, "negative": 0}.get(study.rpartition("_")[2])
        if label is None or not body_part:
            raise DataError(
                f"{path}: without CSVs the label comes from the study's folder, which must end in"
                " _positive or _negative, below <body part>/<patient>/"
            )
        split = above[-1] if above and above[-1] in SPLITS else ""
        yield relative.as_posix(), body_part, patient, _without_label(study), label, split


def _without_label(study: str) -> str:
    # A relabelled study keeps its folder name, so the suffix may contradict the label in the CSV.
    return study.removesuffix("_positive").removesuffix("_negative")


def _folder_with_csvs(data: Path) -> Path | None:
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    names = [f"{split}_image_paths.csv" for split in SPLITS]
    found = [f for f in folders if any((f / name).is_file() for name in names)]
    if data in found:
        return data
    if len(found) > 1:
        several = ", ".join(folder.name for folder in found)
        raise DataError(f"{data}: contains several data sets ({several}); choose one of them")
    return found[0] if found else None


# Checks ---------------------------------------------------------------------------------------


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, values in csv_lines(path):
        yield number, [value.strip() for value in values]


def _safe_path(text: str, where: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text:
        raise DataError(
            f"{where}: {text!r} is not a path in the data folder; paths must be relative, with"
            " forward slashes and without '..'"
        )
    return path.as_posix()


def _label(text: str, where: str) -> int:
    if text not in ("0", "1"):
        raise DataError(f"{where}: the label {text!r} is not 0 (normal) or 1 (abnormal)")
    return int(text)


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
