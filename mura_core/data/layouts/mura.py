"""MURA 1.1 and 1.0: folders with CSV files that list images and labels.

- 1.1: `<split>_image_paths.csv`, a path a line, and `<split>_labeled_studies.csv`, lines with a
  study's path and its label. Without the first, the images are those in the studies' folders.
- 1.0: `<split>.csv`, lines with an image's path, or a study's, and its label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mura_core.data.layouts.labels import refuse_unused
from mura_core.data.layouts.paths import base_of, inner_path
from mura_core.data.layouts.split_names import split_named
from mura_core.data.layouts.structure import label_of, looks_like_patient, without_label
from mura_core.data.layouts.walk import csv_files, image_paths, subfolders
from mura_core.errors import DataError
from mura_core.tables import csv_lines
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions

_NAME = re.compile(r"(?P<split>[a-z]+)(?P<kind>_image_paths|_labeled_studies|)\.csv", re.IGNORECASE)

_IMAGE = "<split>/<body part>/<patient>/<study>/<image>"

Study = tuple[str, ...]  # its path from the split's folder on


@dataclass(frozen=True)
class _Files:
    """The CSV files of a split; a file is None if it is missing.

    Attributes
    ----------
    images, studies, labels : Path or None
        `<split>_image_paths.csv`, `<split>_labeled_studies.csv`, and MURA 1.0's `<split>.csv`.
    """

    images: Path | None = None
    studies: Path | None = None
    labels: Path | None = None


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether a folder has CSV files of MURA, in it, one level below, or next to it.

    Parameters
    ----------
    data : Path
        The data folder.

    Raises
    ------
    DataError
        Several subfolders have such files.
    """
    return data.is_dir() and _folder_of_csvs(data) is not None


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that the CSV files of MURA list.

    Parameters
    ----------
    data : Path
        The data folder.
    options : LayoutOptions
        The file name endings of images.

    Raises
    ------
    DataError
        A file is missing, or a line isn't understood.
    """
    refuse_unused(data, options)
    csvs = _folder_of_csvs(data) or data
    # CSV files next to the data folder list paths in it; it stays the root of the manifest.
    folder = data if csvs == data.absolute().parent else csvs
    rows: list[LabelledImage] = []
    notes = [f"The CSV files are next to the folder, in {csvs}."] if csvs != folder else []
    walked = []
    found = _csvs(csvs)
    has_lists = any(files.images for files in found.values())
    for split, files in found.items():
        if files.images:
            rows += _version_1_1(files, split)
        elif has_lists and files.studies:
            notes.append(
                f"{files.studies.name} isn't used, because its list of images is missing and those"
                " of other splits are there."
            )
        elif files.studies:
            walked += [(files.studies, split)]
        elif files.labels and _names_images(files.labels):
            rows += _version_1_0(files.labels, split)
        elif files.labels:
            walked += [(files.labels, split)]
    base = base_of(folder, [row.path for row in rows])
    if base:
        rows = [row._replace(path=f"{base}/{row.path}") for row in rows]
    if walked:
        paths = image_paths(folder, options)
        rows += _without_paths(walked, folder, paths, notes)
        listed = {row.path for row in rows}
        if others := [path for path in paths if path.as_posix() not in listed]:
            notes.append(
                f"{len(others)} images are in no labelled split's folder and aren't used, for"
                f" example {others[0]}."
            )
    return LabelledImages(folder, rows, tuple(notes))


def _folder_of_csvs(data: Path) -> Path | None:
    """Return the folder, here, one level below or above, that holds the CSV files of MURA."""
    if _csvs(data):
        return data
    found = [path for path in subfolders(data) if _csvs(path)]
    if len(found) > 1:
        several = ", ".join(folder.name for folder in found)
        raise DataError(f"{data}: contains several data sets ({several}); choose one of them")
    if found:
        return found[0]
    above = data.absolute().parent
    return above if _speak_of(above, data.absolute().name) else None


def _csvs(folder: Path) -> dict[str, _Files]:
    """Return the CSV files of MURA in a folder, by split."""
    found: dict[str, dict[str, Path]] = {}
    for path in csv_files(folder):
        match = _NAME.fullmatch(path.name)
        split = split_named(match["split"]) if match else ""
        if match is None or not split:
            continue
        kind = {"_image_paths": "images", "_labeled_studies": "studies"}.get(match["kind"].lower())
        if kind is None and not _is_version_1_0(path, split):
            continue
        kind = kind or "labels"
        other = found.setdefault(split, {}).setdefault(kind, path)
        if other != path:
            raise DataError(f"{folder}: {other.name} and {path.name} are of the same split")
    return {split: _Files(**found[split]) for split in ("train", "valid", "test") if split in found}


def _is_version_1_0(path: Path, split: str) -> bool:
    """Return whether a file's first line is a path in the split's folder and a label."""
    _, values = next(_lines(path), (0, [""]))
    folders = values[0].replace("\\", "/").split("/")
    return len(values) == 2 and values[1] in ("0", "1") and split in map(split_named, folders[:-3])


def _speak_of(folder: Path, name: str) -> bool:
    """Return whether the CSV files of MURA in a folder list paths in a subfolder."""
    try:
        files = _csvs(folder)
    except (DataError, OSError):  # not the folder that the user named
        return False
    for of_split in files.values():
        for path in (of_split.images, of_split.studies, of_split.labels):
            _, values = next(_lines(path), (0, [])) if path else (0, [])
            if values and values[0].startswith(f"{name}/"):
                return True
    return False


# The versions -------------------------------------------------------------------------------------


def _version_1_1(files: _Files, split: str) -> Iterator[LabelledImage]:
    assert files.images is not None
    if files.studies is None:
        name = files.images.name.replace("_image_paths", "_labeled_studies")
        raise DataError(
            f"{files.images.with_name(name)}: no such file; it must hold the labels of the studies"
        )
    labels = _study_labels(files.studies, split)
    for number, values in _lines(files.images):
        where = f"{files.images}: line {number}"
        image = _from_split(inner_path(values[0], where), split, 5)
        if len(image) < 5:
            raise DataError(
                f"{where}: {values[0]!r} is not {_IMAGE}: it is not a path in the data folder"
            )
        study = _study_of(image, labels)
        if study is None:
            raise DataError(
                f"{where}: the study of {values[0]!r} has no label in {files.studies.name}"
            )
        yield _row(image, study, labels[study], split, where)


def _without_paths(
    walked: Sequence[tuple[Path, str]], folder: Path, found: list[PurePosixPath], notes: list[str]
) -> Iterator[LabelledImage]:
    """Yield the images in the folders of the studies that CSV files label."""
    for studies, split in walked:
        labels = _study_labels(studies, split)
        seen = set()
        for path in found:
            image = _from_split(path, split, 0)
            if not image:
                continue
            study = _study_of(image, labels)
            if study is None:
                raise DataError(f"{folder / path}: its study has no label in {studies.name}")
            seen.add(study)
            row = _row(image, study, labels[study], split, str(folder / path))
            yield row._replace(path=path.as_posix())
        notes.append(f"{studies.name} labels {len(seen)} studies; their images are in the folders.")
        if without := [study for study in labels if study not in seen]:
            notes.append(
                f"{studies.name}: {len(without)} of {len(labels)} studies have no images, for"
                f" example {'/'.join(without[0])}."
            )


def _version_1_0(path: Path, split: str) -> Iterator[LabelledImage]:
    for number, values in _lines(path):
        where = f"{path}: line {number}"
        image = _from_split(inner_path(values[0], where), split, 5)
        if len(image) < 5 or len(values) < 2:
            raise DataError(f"{where}: {','.join(values)!r} is not {_IMAGE} and its label, 0 or 1")
        named = [number for number, name in enumerate(image[:-1]) if label_of(name) is not None]
        study = image[: named[-1] + 1] if named else image[:-1]
        yield _row(image, study, _label(values[1], where), split, where)


def _names_images(path: Path) -> bool:
    """Return whether a CSV of MURA 1.0 lists images, not studies."""
    _, values = next(_lines(path), (0, [""]))
    return PurePosixPath(values[0].replace("\\", "/")).suffix != ""


# Lines and paths ----------------------------------------------------------------------------------


def _study_labels(path: Path, split: str) -> dict[Study, int]:
    labels: dict[Study, int] = {}
    for number, values in _lines(path):
        where = f"{path}: line {number}"
        if len(values) < 2:
            raise DataError(f"{where}: expected a study's path and its label, 0 or 1")
        study = _from_split(inner_path(values[0], where), split, 4)
        label = _label(values[1], where)
        if labels.setdefault(study, label) != label:
            raise DataError(f"{where}: {values[0]!r} has the label {labels[study]} in a line above")
    return labels


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, values in csv_lines(path):
        # One public copy of the CSVs has a header row; most have none.
        if number > 1 or "/" in values[0] or "\\" in values[0]:
            yield number, [value.strip() for value in values]


def _from_split(path: PurePosixPath, split: str, length: int) -> tuple[str, ...]:
    """Return a path from the split's folder on, or its last parts if it names no split.

    MURA's paths start with the original name of the folder that holds the CSVs. It is ignored: the
    folder may have been renamed.
    """
    parts = path.parts
    named = [number for number, name in enumerate(parts[:-1]) if split_named(name) == split]
    if named and len(parts) - named[-1] >= length:
        return parts[named[-1] :]
    return parts[-length:] if length else ()


def _study_of(image: tuple[str, ...], labels: dict[Study, int]) -> Study | None:
    """Return the labelled study that an image's folders lie in."""
    lengths = range(len(image) - 1, 0, -1)
    return next((image[:length] for length in lengths if image[:length] in labels), None)


def _row(image: tuple[str, ...], study: Study, label: int, split: str, where: str) -> LabelledImage:
    if len(study) < 4:
        raise DataError(
            f"{where}: {'/'.join(study)!r} is not <split>/<body part>/<patient>/<study>"
        )
    _, body_part, patient, *between = study
    if other := [name for name in (body_part, *between[:-1]) if looks_like_patient(name)]:
        raise DataError(
            f"{where}: {other[0]!r} lies where the body part or a date is expected; understood"
            f" {patient!r} as the patient. Expected <split>/<body part>/<patient>/<study>"
        )
    name = "/".join((*between[:-1], without_label(between[-1])))
    return LabelledImage("/".join(image), body_part, patient, name, label, split)


def _label(text: str, where: str) -> int:
    if text not in ("0", "1"):
        raise DataError(f"{where}: the label {text!r} is not 0 (normal) or 1 (abnormal)")
    return int(text)
