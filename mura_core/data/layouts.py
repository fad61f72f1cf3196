"""The layouts of data sets: MURA, folders, and a plain CSV file, each read as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from mura_core.data.columns import COLUMNS, SPLITS, Row
from mura_core.errors import DataError
from mura_core.tables import csv_lines


def plain_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a plain CSV file, with a header."""
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


def mura_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of a folder with the CSV files of MURA."""
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


def folder_rows(folder: Path, suffixes: Collection[str]) -> Iterator[Row]:
    """Yield the rows of folders `<split>/<body part>/<patient>/<study>`, without CSV files."""
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


def folder_with_csvs(data: Path) -> Path | None:
    """Return the folder, here or one level below, that holds the CSV files of MURA, or None."""
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    names = [f"{split}_image_paths.csv" for split in SPLITS]
    found = [f for f in folders if any((f / name).is_file() for name in names)]
    if data in found:
        return data
    if len(found) > 1:
        several = ", ".join(folder.name for folder in found)
        raise DataError(f"{data}: contains several data sets ({several}); choose one of them")
    return found[0] if found else None


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
