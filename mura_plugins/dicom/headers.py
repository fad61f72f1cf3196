"""What a DICOM header says of a radiograph: whose it is, and of what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mura_plugins.dicom.dataset import in_one_line, name_of_class, open_dataset
from mura_plugins.errors import PluginError

if TYPE_CHECKING:
    from pydicom import Dataset

_NAMES = ("PatientName", "OtherPatientNames", "ReferringPhysicianName")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_DATES = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_OF_THE_IMAGE = (
    "SOPClassUID", "Rows", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition",
    "ViewCodeSequence", "ImageLaterality", "Laterality",
)  # fmt: skip
_SHORTEST = 4  # characters of a value that is looked for inside words


@dataclass(frozen=True)
class Header:
    """The header of a radiograph.

    Attributes
    ----------
    patient, study, image : str
        PatientID, StudyInstanceUID and SOPInstanceUID.
    body_part, view, laterality : str
        In capitals, such as HAND, PA and L; empty if the header doesn't name them.
    private : frozenset of str
        Names, numbers, UIDs and dates that tell who the patient is, in lower case.
    """

    patient: str
    study: str
    image: str
    body_part: str
    view: str
    laterality: str
    private: frozenset[str]

    def is_told_by(self, path: str) -> bool:
        """Return whether a path contains a name, a number, a UID or a date of the header.

        Parameters
        ----------
        path : str
            The path of the file, relative to the data folder.
        """
        path = path.lower()
        words = {*re.split(r"[\W_]+", path), *re.findall(r"\d+|[^\W\d_]+", path)}
        return any(
            value in words or (len(value) >= _SHORTEST and value in path) for value in self.private
        )


def read_header(path: Path) -> Header:
    """Return what the header of a DICOM file says, without reading the pixels.

    Parameters
    ----------
    path : Path

    Raises
    ------
    PluginError
        pydicom isn't installed, the file isn't DICOM, has no image or doesn't name the patient, the
        study or itself. The message completes "FILE: ".
    """
    dataset = open_dataset(path, (*_NAMES, *_NUMBERS, *_UIDS, *_DATES, *_OF_THE_IMAGE))
    if "Rows" not in dataset:
        raise PluginError(in_one_line(f"has no pixels ({name_of_class(dataset)})"))
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"):
        if not _text(dataset, keyword):
            raise PluginError(f"has no {keyword}")
    return Header(
        _text(dataset, "PatientID"),
        _text(dataset, "StudyInstanceUID"),
        _text(dataset, "SOPInstanceUID"),
        (_text(dataset, "BodyPartExamined") or _meaning(dataset, "AnatomicRegionSequence")).upper(),
        (_text(dataset, "ViewPosition") or _meaning(dataset, "ViewCodeSequence")).upper(),
        (_text(dataset, "ImageLaterality") or _text(dataset, "Laterality")).upper(),
        frozenset(_private(dataset)),
    )


def _private(dataset: Dataset) -> set[str]:
    texts = {keyword: _text(dataset, keyword).lower() for keyword in (*_NAMES, *_NUMBERS)}
    values = {word for text in texts.values() for word in (text, *re.split(r"[\W_]+", text))}
    values |= {_text(dataset, keyword).lower() for keyword in _UIDS}
    for date in (_text(dataset, keyword) for keyword in _DATES):
        year, month, day = date[:4], date[4:6], date[6:8]
        values |= {year + month + day, day + month + year}
        values |= {f"{year}{mark}{month}{mark}{day}" for mark in "-._/"}
        values |= {f"{day}{mark}{month}{mark}{year}" for mark in "-._/"}
    # Initials and single digits are in most paths, but a patient may have the number 7.
    values = {value for value in values if len(value.strip("-._/")) > 1}
    return {*values, texts["PatientID"]}


def _text(dataset: Dataset, keyword: str) -> str:
    """Return an element's value as text; empty if there is none, or none that can be read."""
    try:
        value = dataset.get(keyword)
    except Exception:  # of damaged values, many kinds
        return ""
    if value is None:
        return ""
    parts = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return in_one_line(" ".join(str(part) for part in parts))


def _meaning(dataset: Dataset, keyword: str) -> str:
    """Return the meaning of the first code of a sequence."""
    try:
        return _text(dataset[keyword].value[0], "CodeMeaning") if keyword in dataset else ""
    except Exception:  # of damaged values, many kinds
        return ""
