"""A user's own CSV: one row per image, with a header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mura_core.data.layouts.header import Header, named_columns, read_header
from mura_core.data.layouts.labels import label_in_words, labels_in_words
from mura_core.data.layouts.paths import base_of, own_path
from mura_core.data.layouts.split_names import ACCEPTED, split_named
from mura_core.data.layouts.walk import by_name, image_paths, only_one, own_csvs
from mura_core.errors import DataError
from mura_core.tables import csv_lines
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions

MANIFEST_NAME = "manifest.csv"
NO_PART = "UNKNOWN"  # the body part of images of which none is named

_SHOWN = 8  # unused columns

Line = tuple[int, dict[str, str]]  # its number and its fields by column


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether the data is a CSV file, or a folder with a `manifest.csv`.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    """
    return data.is_file() or (data / MANIFEST_NAME).is_file()


def recognise_folder(data: Path, options: LayoutOptions) -> bool:
    """Return whether a folder has CSV files that list its images, in it or next to it.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    options : LayoutOptions
        The columns.

    Raises
    ------
    DataError
        Several CSV files list images, and aren't named after splits.
    """
    return data.is_dir() and bool(_csvs_of(data, options))


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that a CSV lists, or several that are named after splits.

    Parameters
    ----------
    data : Path
        The CSV file, or the folder that it speaks of.
    options : LayoutOptions
        The columns, the labels that mean abnormal, and whether paths may lead outside.

    Raises
    ------
    DataError
        A column is missing, or a line isn't understood.
    """
    if data.suffix.lower() in options.suffixes and data.is_file():
        raise DataError(
            f"{data}: is an image; name the folder of images, or a CSV file that lists them"
        )
    folder = data if data.is_dir() else data.parent
    images: list[LabelledImage] = []
    notes: list[str] = []
    for split, path in _csvs_of(data, options).items():
        if path != data and path.name != MANIFEST_NAME:
            notes.append(f"The images are listed in {path}.")
        found = read_table(path, folder, options)
        if split and any(image.split for image in found.images):
            raise DataError(f"{path}: names splits in a column, and one in the name of the file")
        images += [image._replace(split=split or image.split) for image in found.images]
        notes += [note for note in found.notes if note not in notes]
    return LabelledImages(folder, images, tuple(notes))


def read_table(path: Path, folder: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that a CSV lists, with paths relative to a folder.

    Parameters
    ----------
    path : Path
        The CSV file.
    folder : Path
        The folder that its paths are relative to.
    options : LayoutOptions
        The columns, the labels that mean abnormal, and whether paths may lead outside.

    Raises
    ------
    DataError
        A column is missing, or a line isn't understood.
    """
    header = read_header(path, options.columns)
    lines = list(_lines(path, header))
    notes = _what_is_assumed(header)
    if options.positive:
        values = [row[header.columns["label"]] for _, row in lines]
        notes.append(labels_in_words(values, options.positive, str(path)))
    splits = _splits(path, header, lines, notes)
    paths = _paths(path, header, lines, folder, options, notes)
    used = {*header.columns.values(), _column_of_splits(header, lines)}
    if unused := [repr(name) for name in header.names if name not in used]:
        notes.append(f"Columns that aren't used: {', '.join(unused[:_SHOWN])}{_more(unused)}.")
    images = []
    for (number, row), split, image in zip(lines, splits, paths, strict=True):
        where = f"{path}: line {number}"
        label = label_in_words(row[header.columns["label"]], options.positive, where)
        part = row[header.columns["body_part"]] if "body_part" in header.columns else NO_PART
        study = row[header.columns["study"]] if "study" in header.columns else image
        patient = row[header.columns["patient"]]
        images.append(LabelledImage(image, part, patient, study, label, split))
    return LabelledImages(folder, images, tuple(notes))


def _csvs_of(data: Path, options: LayoutOptions) -> dict[str, Path]:
    """Return the CSV files that list a data set's images, by the split that they are named after.

    The split is empty for a file that isn't named after one.
    """
    if data.is_file():
        return {"": data}
    if (data / MANIFEST_NAME).is_file():
        return {"": data / MANIFEST_NAME}
    inside = [data / name for name in own_csvs(data)]
    complete = [path for path in inside if _is_complete(path, options)]
    if len(complete) == 1:
        return {"": complete[0]}
    of_splits = {split_named(path.stem): path for path in complete}
    if "" in of_splits or len(of_splits) < len(complete):
        names = ", ".join(path.name for path in complete)
        raise DataError(f"{data}: several CSV files list images ({names}); name one with --data")
    beside = data.absolute().parent / f"{data.absolute().name}.csv"
    return of_splits or ({"": beside} if beside.is_file() else {})


def _more(names: list[str]) -> str:
    return f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""


def _is_complete(path: Path, options: LayoutOptions) -> bool:
    """Return whether a CSV has the columns that are required."""
    try:
        return {"path", "patient", "label"} <= set(named_columns(path, options.columns))
    except DataError:  # a table of something else
        return False


def _lines(path: Path, header: Header) -> Iterator[Line]:
    lines = csv_lines(path, header.separator)
    next(lines)
    for number, fields in lines:
        where = f"{path}: line {number}"
        if len(fields) != len(header.names):
            raise DataError(
                f"{where}: {len(fields)} fields, but the header has {len(header.names)}"
            )
        row = {name: field.strip() for name, field in zip(header.names, fields, strict=True)}
        for column, name in header.columns.items():
            if not row[name] and column != "split":
                raise DataError(f"{where}: {name} is empty")
        yield number, row


def _what_is_assumed(header: Header) -> list[str]:
    notes = []
    if "study" not in header.columns:
        notes.append("The CSV names no study: each image is a study of its own.")
    if "body_part" not in header.columns:
        notes.append(f"The CSV names no body part: that of all images is {NO_PART}.")
    if header.columns["patient"] == header.columns["path"]:
        notes.append("Each image counts as a patient of its own.")
    return notes


# Splits -------------------------------------------------------------------------------------------


def _splits(path: Path, header: Header, lines: list[Line], notes: list[str]) -> list[str]:
    """Return the split of each line; empty strings if the CSV names none."""
    column = header.columns.get("split") or _column_of_splits(header, lines)
    if column is None or not any(row[column] for _, row in lines):
        if any(_has_split_folder(row[header.columns["path"]]) for _, row in lines):
            notes.append(
                "The CSV names no split. Folders in its paths are not read as splits: add a column"
                " 'split' to use them."
            )
        return [""] * len(lines)
    if "split" not in header.columns:
        notes.append(f"The column {column!r} is used as the split.")
    splits = []
    for number, row in lines:
        split = split_named(row[column])
        if not split:
            what = f"{row[column]!r} in the column {column!r} is not a split"
            if not row[column]:
                what = f"the column {column!r} is empty"
            raise DataError(
                f"{path}: line {number}: {what}; accepted are {ACCEPTED}, for every image or for"
                " none"
            )
        splits.append(split)
    return splits


def _has_split_folder(path: str) -> bool:
    return any(map(split_named, PurePosixPath(path.replace("\\", "/")).parts[:-1]))


def _column_of_splits(header: Header, lines: list[Line]) -> str | None:
    """Return a column that holds nothing but names of several splits."""
    for name in header.names:
        values = {row[name] for _, row in lines} - {""}
        known = name in header.columns.values()
        if not known and len(values) > 1 and all(map(split_named, values)):
            return name
    return None


# Paths --------------------------------------------------------------------------------------------


def _paths(
    path: Path,
    header: Header,
    lines: list[Line],
    folder: Path,
    options: LayoutOptions,
    notes: list[str],
) -> list[str]:
    """Return the path of each line's image, relative to the folder or absolute."""
    paths = [
        own_path(
            row[header.columns["path"]],
            f"{path}: line {number}",
            folder,
            allow_outside=options.allow_outside,
        )
        for number, row in lines
    ]
    outside = [one for one in paths if one.startswith("/")]
    if outside:
        notes.append(
            f"{len(outside)} of {len(paths)} images are outside {folder}, for example {outside[0]}"
            " (--allow-outside)."
        )
    inside = [one for one in paths if not one.startswith("/")]
    if base := base_of(folder, inside):
        notes.append(f"The paths are relative to {folder / base}.")
        return [one if one.startswith("/") else f"{base}/{one}" for one in paths]
    if inside and all("/" not in one for one in inside):
        return _found_by_name(path, lines, paths, folder, options)
    return paths


def _found_by_name(
    path: Path, lines: list[Line], paths: list[str], folder: Path, options: LayoutOptions
) -> list[str]:
    """Return paths of files that the CSV lists only by name, or without their suffix."""
    if any((folder / one).is_file() for one in paths[:20]):
        return paths
    named = by_name(image_paths(folder, options))
    found = []
    for (number, _), one in zip(lines, paths, strict=True):
        where = f"{path}: line {number}"
        found.append(one if one.startswith("/") else only_one(named, one, where) or one)
    return found
