"""Read the split, body part, patient and study of an image from the names of its folders."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mura_core.data.layouts.split_names import (
    ACCEPTED,
    holds_split,
    means_another_split,
    split_named,
)
from mura_core.errors import DataError

EXPECTED = "[<split>/]<body part>/<patient>/<study>_positive|_negative/"

_LABEL = re.compile(r"(?:^|_)(positive|negative)$", re.IGNORECASE)
_PATIENT = re.compile(
    r"(?:patient|pat|pt|pid|p|subject|subj|sub|person)[ _-]?[a-rt-z]?\d\w*", re.IGNORECASE
)
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"{_YEAR}(?:[-_.]?[01]\d(?:[-_.]?[0-3]\d)?)?(?:[-_T ]?\d{{4,6}})?"
    rf"|[0-3]?\d[-_.][0-3]?\d[-_.]{_YEAR}"
)
_SERIES = re.compile(r"(?:series|serie|ser|se|acquisition|acq)[ _-]?\d\w*", re.IGNORECASE)
_VISIT = re.compile(
    r"(?:study|exam|examination|visit|session|ses|accession|acc)[ _-]?\w*\d\w*", re.IGNORECASE
)
# Folders below a study that don't tell studies apart.
_VIEW = re.compile(
    r"(?:view|projection|dicom|images?|img|png|jpe?g)s?[ _-]?\d*"
    r"|ap|pa|lat|lateral|oblique|obl|frontal",
    re.IGNORECASE,
)

Folders = tuple[str, ...]  # the names of the folders above an image, from the top


@dataclass(frozen=True)
class Place:
    """What the folders of an image name.

    Attributes
    ----------
    split : {"train", "valid", "test", ""}
    body_part, patient, study : str
    label : int
        1 abnormal, 0 normal.
    """

    split: str
    body_part: str
    patient: str
    study: str
    label: int


def label_of(folder: str) -> int | None:
    """Return the label that ends a folder's name: 1, 0, or None if there is none.

    Parameters
    ----------
    folder : str
        Such as `study1_positive`.
    """
    found = _LABEL.search(folder)
    return None if found is None else int(found[1].lower() == "positive")


def without_label(study: str) -> str:
    """Return the name of a study's folder without `_positive` or `_negative`.

    A relabelled study keeps its folder name, so the suffix may contradict the label in the CSV.

    Parameters
    ----------
    study : str
        Name of the folder.
    """
    return _LABEL.sub("", study) or study


def looks_like_patient(folder: str) -> bool:
    """Return whether a folder's name is a usual one for a patient, such as `patient00011`.

    Parameters
    ----------
    folder : str
        Name of the folder.
    """
    return _PATIENT.fullmatch(folder) is not None


def split_of(all_folders: Collection[Folders]) -> dict[Folders, str]:
    """Return the split that each image's folders name; empty strings if none names one.

    Parameters
    ----------
    all_folders : collection of tuple of str
        The folders of each image.

    Raises
    ------
    DataError
        Some images are in a split's folder and others aren't, or a folder means another split.
    """
    return _splits(
        {folders: folders for folders in sorted(all_folders)}, _shared_levels(all_folders)
    )


def names_labelled_studies(all_folders: Collection[Folders]) -> bool:
    """Return whether folders without splits are those of labelled studies, not of classes.

    A folder `positive` is a study's if a patient's folder, with a number in its name, is above it.

    Parameters
    ----------
    all_folders : collection of tuple of str
        The folders of each image, without those of splits.
    """
    for folders in all_folders:
        for number, name in enumerate(folders):
            if label_of(name) is None:
                continue
            above = [one for one in folders[:number] if not _is_between(one)]
            has_patient = len(above) > 1 and _has_number(above[-1])
            if name.lower() not in ("positive", "negative") or has_patient:
                return True
    return False


def read_folders(all_folders: Collection[Folders]) -> dict[Folders, Place]:
    """Return what the folders of a data set's images name.

    Folders are `[<split>/]<body part>/<patient>/<study>_positive|_negative/`. The split's folder
    may be at any level above the study. Folders of dates, visits or series may lie between patient
    and study, or below the study; dates and visits become part of the study's name. Folders above
    the body part are ignored if they are the same for all images.

    Parameters
    ----------
    all_folders : collection of tuple of str
        The folders of each image.

    Returns
    -------
    dict
        What each of them names.

    Raises
    ------
    DataError
        A folder isn't understood. The message says what was understood.
    """
    wrapper = _shared_levels(all_folders)
    halves = {folders: _at_study(folders) for folders in sorted(set(all_folders))}
    splits = _splits({folders: above for folders, (above, _, _) in halves.items()}, wrapper)
    levels = {
        folders: tuple(name for name in above if not split_named(name))
        for folders, (above, _, _) in halves.items()
    }
    between = _levels_below_patient(levels)
    places = {}
    for folders, (_, study, below) in halves.items():
        cut = len(levels[folders]) - between[folders]
        if cut < 2:
            raise _not_understood(
                folders, f"no body part and patient lie above the study {study!r}"
            )
        *_, body_part, patient = levels[folders][:cut]
        names = [*levels[folders][cut:], *_own_name(study, between[folders]), *below]
        places[folders] = Place(
            splits[folders], body_part, patient, "/".join(names), label_of(study) or 0
        )
    _refuse_unknown_levels(levels, between, places)
    _refuse_unlikely(levels, between, places)
    return places


def _shared_levels(all_folders: Collection[Folders]) -> int:
    """Return the number of outermost folders that are the same for all images."""
    levels = list(zip(*all_folders, strict=False))
    return next((n for n, names in enumerate(levels) if len(set(names)) > 1), len(levels))


def _at_study(folders: Folders) -> tuple[Folders, str, Folders]:
    """Return the folders above the study, the study's, and those below that tell studies apart."""
    labelled = [number for number, name in enumerate(folders) if label_of(name) is not None]
    if not labelled:
        raise DataError(
            f"{'/'.join(folders) or 'images in it'}: without CSVs the label comes from the study's"
            " folder, which must end in _positive or _negative, below <body part>/<patient>/"
        )
    study = labelled[-1]
    below = folders[study + 1 :]
    for name in below:
        if not (_is_between(name) or _VIEW.fullmatch(name)):
            raise _not_understood(folders, f"{name!r} lies below the study {folders[study]!r}")
    kept = tuple(name for name in below if not (_SERIES.fullmatch(name) or _VIEW.fullmatch(name)))
    return folders[:study], folders[study], kept


def _splits(above: dict[Folders, Folders], wrapper: int) -> dict[Folders, str]:
    """Return the split that each image's folders name; empty if none names one."""
    level = {}
    for folders, names in above.items():
        named = [number for number, name in enumerate(names) if split_named(name)]
        if len(named) > 1:
            both = " and ".join(repr(names[number]) for number in named)
            raise _not_understood(folders, f"{both} are both names of a split")
        level[folders] = named[0] if named else None
        for number, name in enumerate(names):
            outermost = number == wrapper and not named
            if number >= wrapper and means_another_split(name):
                raise _no_split(folders, name)
            if outermost and holds_split(name) and not looks_like_patient(name):
                raise _no_split(folders, name)
    known = next((number for number in level.values() if number is not None), None)
    if known is None:
        return dict.fromkeys(above, "")
    for folders, at in level.items():
        if at is None:
            raise _no_split(folders, folders[min(known, len(folders) - 1)])
    return {folders: split_named(names[level[folders] or 0]) for folders, names in above.items()}


def _levels_below_patient(levels: dict[Folders, Folders]) -> dict[Folders, int]:
    """Return how many levels lie between each image's patient and study."""
    # The outermost folder is at most the body part, whatever its name.
    below = {
        folders: [
            len(names) - 1 - n for n, name in enumerate(names) if n and looks_like_patient(name)
        ]
        for folders, names in levels.items()
    }
    if all(below.values()):
        return {folders: counts[0] for folders, counts in below.items()}
    # Without a usual name of a patient, the whole level must consist of dates or visits: patient
    # 2018 is no year if there is a patient 17.
    depth = min(map(len, levels.values()))
    between = 0
    while depth - between > 2 and all(_is_between(n[-1 - between]) for n in levels.values()):
        between += 1
    if between:
        for folders, names in levels.items():
            patient = names[-1 - between]
            if not _has_number(patient):
                raise _not_understood(
                    folders, f"{patient!r} lies where the patient is expected, without a number"
                )
    return dict.fromkeys(levels, between)


def _is_between(name: str) -> bool:
    return any(p.fullmatch(name) for p in (_DATE, _VISIT, _SERIES))


def _own_name(study: str, between: int) -> list[str]:
    # A folder `positive` below a visit's folder only says the label.
    only_label = study.lower() in ("positive", "negative")
    return [] if only_label and between else [without_label(study)]


def _refuse_unknown_levels(
    levels: dict[Folders, Folders], between: dict[Folders, int], places: dict[Folders, Place]
) -> None:
    """Refuse folders above the body part that differ between images."""
    outer = {
        folders: names[: len(names) - between[folders] - 2] for folders, names in levels.items()
    }
    if len(set(outer.values())) < 2:
        return
    first, other = sorted(set(outer.values()))[:2]
    folders = next(f for f, names in outer.items() if names == (first or other))
    place = places[folders]
    name = next(n for n in reversed(outer[folders]))
    raise _not_understood(
        folders,
        f"{name!r} lies above the body part {place.body_part!r}, the patient {place.patient!r} and"
        f" the study {place.study!r}, and is not the name of a split ({ACCEPTED})",
    )


def _refuse_unlikely(
    levels: dict[Folders, Folders], between: dict[Folders, int], places: dict[Folders, Place]
) -> None:
    """Refuse patients that are more likely something else, such as `HAND/17/left/study1_positive`.

    Patients of the usual names are never refused.
    """
    if all(looks_like_patient(place.patient) for place in places.values()):
        return
    parts = {place.body_part for place in places.values()}
    patients = {place.patient for place in places.values()}
    extra = any(len(names) - between[folders] > 2 for folders, names in levels.items())
    if any(map(looks_like_patient, parts)):
        what = "lies below what looks like one"
    elif all(map(_has_number, parts)) and not any(map(_has_number, patients)):
        what = "has no number, but the body part has one"
    elif extra and not all(map(_has_number, patients)):
        what = "has no number"
    elif extra and len(parts) > len(patients):
        what = f"is one of {len(patients)}, for {len(parts)} body parts"
    else:
        return
    folders, place = next(iter(places.items()))
    raise _not_understood(
        folders,
        f"understood the body part {place.body_part!r}, the patient {place.patient!r} and the study"
        f" {place.study!r}, but the patient {what}",
    )


def _has_number(name: str) -> bool:
    return any(map(str.isdigit, name))


def _no_split(folders: Folders, name: str) -> DataError:
    return DataError(
        f"{'/'.join(folders)}: the folder {name!r} is not the name of a split; accepted are"
        f" {ACCEPTED}, for every image or for none"
    )


def _not_understood(folders: Folders, what: str) -> DataError:
    return DataError(
        f"{'/'.join(folders)}: {what}; expected are folders {EXPECTED}, with folders of dates or"
        " series above or below the study's; rename the folders, or list the images in a CSV"
    )
