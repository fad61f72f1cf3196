"""The check of layouts, which `mura_plugins.testing` offers to plugin authors."""

from __future__ import annotations

import tempfile
from collections import Counter
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

from mura_plugins.contract import raising_contract_errors, require
from mura_plugins.manager import call_layout
from mura_plugins.record_checks import refuse_invalid
from mura_plugins.records import LabelledImage, LabelledImages, Layout, LayoutOptions

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm"})
_SPLITS = ("", "train", "valid", "test")


@raising_contract_errors
def check_layout(record: Layout, data: Path, options: LayoutOptions | None = None) -> None:
    """Check that a layout meets the requirements of the core.

    It recognises the data set, by True, and no empty folder. Reading gives the same images each
    time and doesn't change the data. Each image is there once; its path leads to a file and is
    relative to the folder that is returned; its patient, study and body part are named; its label
    is 0 or 1. Either all images name a split or none does.

    Parameters
    ----------
    record : Layout
    data : Path
        A data set in this layout: a file or a folder.
    options : LayoutOptions, optional
        What the user says about it; by default nothing but the usual endings of images.

    Raises
    ------
    ContractError
        A requirement is violated, or a function raises an exception.
    """
    refuse_invalid(record)
    options = options or LayoutOptions(suffixes=_SUFFIXES)

    def recognises(place: Path) -> Any:
        return call_layout(record, record.recognise, place, options)

    before = _files(data)
    answer = recognises(data)
    require(answer is True, f"recognise returned {answer!r} for {data.name}; expected True")
    with tempfile.TemporaryDirectory() as empty:
        answer = recognises(Path(empty))
    require(answer is False, f"recognise returned {answer!r} for an empty folder; expected False")
    found = call_layout(record, record.read, data, options)
    require(
        isinstance(found, LabelledImages),
        f"read returned a {type(found).__name__}; expected LabelledImages",
    )
    _check_images(found, options)
    again = call_layout(record, record.read, data, options)
    require(list(again.images) == list(found.images), "reading again gives other images")
    require(_files(data) == before, "reading changed the data")


def _files(data: Path) -> list[tuple[str, int, int]]:
    paths = sorted(data.rglob("*")) if data.is_dir() else [data]
    states = ((path, path.stat()) for path in paths if path.exists())
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]


def _check_images(found: LabelledImages, options: LayoutOptions) -> None:
    require(isinstance(found.folder, Path), f"folder is {found.folder!r}; expected a pathlib.Path")
    require(found.folder.is_dir(), f"folder is {found.folder}; expected an existing folder")
    require(
        isinstance(found.notes, tuple) and all(isinstance(note, str) for note in found.notes),
        f"notes are {found.notes!r}; expected a tuple of sentences",
    )
    if found.annotations is not None:
        there = isinstance(found.annotations, Path) and found.annotations.is_file()
        require(there, f"annotations is {found.annotations!r}; expected the path of a file")
    require(len(found.images), "read returned no images of a data set that it recognises")
    for image in found.images:
        require(isinstance(image, LabelledImage), f"read returned {image!r}, not a LabelledImage")
        _check_image(image, found.folder, options)
    [(path, count)] = Counter(image.path for image in found.images).most_common(1)
    require(count == 1, f"{path!r} is returned {count} times; expected each image once")
    unnamed = sum(image.split == "" for image in found.images)
    require(
        unnamed in (0, len(found.images)),
        f"{unnamed} of {len(found.images)} images name no split; expected all or none of them",
    )


def _check_image(image: LabelledImage, folder: Path, options: LayoutOptions) -> None:
    for field in ("path", "body_part", "patient", "study"):
        value = getattr(image, field)
        named = isinstance(value, str) and value
        require(named, f"{field} of {image.path!r} is {value!r}; expected a text")
    path = PurePosixPath(image.path)
    require(not path.is_absolute(), f"{image.path!r} is absolute; expected a path below {folder}")
    require("\\" not in image.path, f"{image.path!r} has backslashes; expected forward slashes")
    outside = ".." in path.parts and not options.allow_outside
    require(not outside, f"{image.path!r} leads outside the data; expected a path below {folder}")
    require((folder / path).is_file(), f"{image.path!r} is not a file below {folder}")
    is_label = isinstance(image.label, Integral) and image.label in (0, 1)
    require(is_label, f"label of {image.path!r} is {image.label!r}; expected 1 abnormal, 0 normal")
    require(
        image.split in _SPLITS,
        f"split of {image.path!r} is {image.split!r}; expected train, valid, test or empty",
    )
