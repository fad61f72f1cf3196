"""Class folders: `[<split>/][<body part>/]<class>/[<patient>/[<study>/]]`, such as `fracture/`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from mura_core.data.layouts.labels import is_label, label_in_words, labels_in_words
from mura_core.data.layouts.split_names import ACCEPTED, split_named
from mura_core.data.layouts.structure import (
    Folders,
    looks_like_patient,
    names_labelled_studies,
    split_of,
)
from mura_core.data.layouts.walk import image_paths, note_on_csvs
from mura_core.errors import DataError
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions

NO_PART = "UNKNOWN"  # the body part of images of which none is named
_MOST_CLASSES = 10


def recognise(data: Path, options: LayoutOptions) -> bool:
    """Return whether a folder's images lie in folders of classes.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    options : LayoutOptions
        The file name endings of images, and the classes that mean abnormal.
    """
    if not data.is_dir():
        return False
    all_folders = _without_split(image_paths(data, options))
    if not all_folders or names_labelled_studies(all_folders):
        return False
    return (
        _level(all_folders, options.positive) is not None or _likely_level(all_folders) is not None
    )


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images of a folder, labelled by the names of their class folders.

    Parameters
    ----------
    data : Path
        The folder.
    options : LayoutOptions
        The file name endings of images, and the classes that mean abnormal.

    Raises
    ------
    DataError
        It isn't known which class means abnormal, or an image lies in no class folder.
    """
    paths = image_paths(data, options)
    try:
        splits = split_of({path.parts[:-1] for path in paths})
    except DataError as error:
        raise DataError(f"{data}: {error}") from None
    all_folders = _without_split(paths)
    level = _level(all_folders, options.positive)
    if level is None:
        raise DataError(_which_class(data, all_folders, options.positive))
    if len({folders[: max(level - 1, 0)] for folders in all_folders}) > 1:
        raise DataError(
            f"{data}: the folders {_listed(_levels(all_folders)[0])} aren't understood: expected"
            f" are [<split>/][<body part>/]<class>/, and splits are {ACCEPTED}"
        )
    varied = len({folders[:level][-1:] for folders in all_folders}) > 1
    images, classes = [], []
    for path in paths:
        folders = _own(path)
        if len(folders) <= level:
            raise DataError(
                f"{data / path}: lies in no class folder, such as {_first(all_folders, level)}/"
            )
        above, name, below = folders[:level], folders[level], folders[level + 1 :]
        part = above[-1] if above and (varied or above[-1].startswith("XR_")) else NO_PART
        patient = below[0] if below else path.as_posix()
        study = "/".join(below[1:]) or path.stem
        label = label_in_words(name, options.positive, str(data / path))
        split = splits[path.parts[:-1]]
        images.append(LabelledImage(path.as_posix(), part, patient, study, label, split))
        classes.append(name)
    positive = options.positive or sorted(
        {name for name in classes if label_in_words(name, (), "")}
    )
    notes = [labels_in_words(classes, positive, str(data)), *note_on_csvs(data)]
    notes += _what_is_assumed(images, all_folders, level)
    return LabelledImages(data, images, tuple(notes))


def _own(path: PurePosixPath) -> Folders:
    """Return the folders of an image, without that of its split."""
    return tuple(name for name in path.parts[:-1] if not split_named(name))


def _without_split(paths: Sequence[PurePosixPath]) -> list[Folders]:
    return sorted({_own(path) for path in paths})


def _levels(all_folders: Sequence[Folders]) -> list[set[str]]:
    """Return the names of the folders at each level."""
    return [set(filter(None, names)) for names in zip_longest(*all_folders)]


def _level(all_folders: Sequence[Folders], positive: Sequence[str]) -> int | None:
    """Return the level of the class folders, or None if it isn't known."""
    wanted = {value.strip().casefold() for value in positive}
    for number, names in enumerate(_levels(all_folders)):
        if wanted and any(name.casefold() in wanted for name in names):
            return number
        if not wanted and len(names) > 1 and all(map(is_label, names)):
            return number
    return None


def _likely_level(all_folders: Sequence[Folders]) -> int | None:
    """Return the outermost level of a few folders that aren't named like patients or body parts."""
    for number, names in enumerate(_levels(all_folders)):
        if 2 <= len(names) <= _MOST_CLASSES:
            unlike = any(looks_like_patient(name) or name.startswith("XR_") for name in names)
            return None if unlike else number
    return None


def _which_class(data: Path, all_folders: Sequence[Folders], positive: Sequence[str]) -> str:
    level = _likely_level(all_folders)
    names = sorted(_levels(all_folders)[level]) if level is not None else []
    listed = _listed(names) or "none"
    if positive:
        return f"{data}: --positive {positive[0]!r} is not one of the class folders {listed}"
    return (
        f"{data}: if the folders {listed} are classes, name the one that means abnormal, such as"
        f" --positive {_likely_positive(names)}; if they are body parts, the folder of each study"
        f" must end in _positive or _negative; if they are splits, accepted are {ACCEPTED}"
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _likely_positive(names: Sequence[str]) -> str:
    normal = ("normal", "healthy", "negative", "no", "non", "not")
    unlike = [name for name in names if not name.casefold().startswith(normal)]
    return (unlike or list(names))[0]


def _first(all_folders: Sequence[Folders], level: int) -> str:
    return next(folders[level] for folders in all_folders if len(folders) > level)


def _what_is_assumed(
    images: Sequence[LabelledImage], all_folders: Sequence[Folders], level: int
) -> list[str]:
    notes = []
    alone = sum(image.patient == image.path for image in images)
    if alone:
        notes.append(
            f"{alone} images lie directly in a class folder: each counts as a patient and a study"
            " of its own."
        )
    without_study = sum(len(_own(PurePosixPath(image.path))) == level + 2 for image in images)
    if without_study:
        notes.append(
            f"{without_study} images lie directly in a patient's folder: each is a study of its"
            " own."
        )
    if all(image.body_part == NO_PART for image in images):
        notes.append(f"The folders name no body part: that of all images is {NO_PART}.")
    return notes
