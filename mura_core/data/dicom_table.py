"""Make the rows of a manifest from DICOM headers and a table of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mura_core.data.layouts.csv_file import NO_PART
from mura_core.data.layouts.header import first_line
from mura_core.data.layouts.labels import label_in_words
from mura_core.data.layouts.split_names import ACCEPTED, split_named
from mura_core.data.left_out import as_table
from mura_core.data.pseudonyms import pseudonym
from mura_core.errors import DataError, MuraError
from mura_core.imaging import LITTER, Readers, files_below, reader_of
from mura_core.progress import Progress
from mura_core.tables import csv_lines
from mura_plugins.dicom import SIGNATURE, SUFFIXES
from mura_plugins.dicom.headers import Header, read_header
from mura_plugins.dicom.reader import read

COLUMNS = ["path", "body_part", "patient", "study", "label", "split", "view", "laterality"]

_READERS: Readers = dict.fromkeys((*SUFFIXES, SIGNATURE), read)
_KEYS = {"sopinstanceuid": "image", "studyinstanceuid": "study"}  # to the attribute of a header


@dataclass(frozen=True)
class Labels:
    """A table of labels.

    Attributes
    ----------
    key : {"image", "study"}
        Whether the rows are of SOP instances or of studies.
    rows : mapping of str to (int, str)
        The label and the split of each UID; the split is empty if the table names none.
    """

    key: str
    rows: Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class DicomTable:
    """The radiographs of a folder, with their labels.

    Attributes
    ----------
    table : DataFrame
        One row per radiograph, with `COLUMNS`: pseudonyms, and no names, dates or UIDs but those
        in `path`.
    left_out : list of (str, str)
        The path and the reason of each other file.
    telling : list of str
        Paths that contain a name, a number, a UID or a date of their header.
    unused : int
        Number of labels that belong to no radiograph.
    instances : list of str
        The pseudonym of each row's SOP instance.
    """

    table: pd.DataFrame
    left_out: list[tuple[str, str]]
    telling: list[str]
    unused: int
    instances: list[str] = field(default_factory=list)


def dicom_rows(
    folder: Path,
    labels_csv: Path,
    salt: bytes,
    *,
    positive: Sequence[str] = (),
    progress: Progress | None = None,
) -> DicomTable:
    """Return the radiographs below a folder, with labels joined by study or SOP instance.

    Parameters
    ----------
    folder : Path
    labels_csv : Path
        A CSV file with the columns `StudyInstanceUID` or `SOPInstanceUID`, `label` and, if the data
        has one, `split`.
    salt : bytes
        The key of the pseudonyms.
    positive : sequence of str, optional
        The labels that mean abnormal; by default 1, true, yes, abnormal and positive.
    progress : callable, optional
        Called with the number of files done and the total.

    Raises
    ------
    DataError
        The table of labels is invalid, no radiograph has a label, or two patients have one study.
    """
    labels = read_labels(labels_csv, positive)
    headers, left_out = _headers(folder, progress)
    rows, instances, telling, used = [], [], [], set()
    for path, header in headers.items():
        uid = getattr(header, labels.key)
        if uid not in labels.rows:
            left_out.append((path, f"has no label in {labels_csv.name}"))
            continue
        used.add(uid)
        if header.is_told_by(path):
            telling.append(path)
        rows.append((path, *_described(header, salt, *labels.rows[uid])))
        instances.append(pseudonym(salt, "image", header.image))
    if not rows:
        raise DataError(f"{folder}: no DICOM file in it has a label{_most_common(left_out)}")
    table = pd.DataFrame(rows, columns=COLUMNS)
    _refuse_shared_studies(table)
    return DicomTable(table, sorted(left_out), telling, len(labels.rows) - len(used), instances)


def read_labels(path: Path, positive: Sequence[str] = ()) -> Labels:
    """Return a table of labels.

    Parameters
    ----------
    path : Path
        The CSV file.
    positive : sequence of str, optional
        The labels that mean abnormal; by default 1, true, yes, abnormal and positive.

    Raises
    ------
    DataError
        A column is missing, a label or a split isn't understood, or a UID has two labels.
    """
    names, separator = first_line(path)
    header = [name.strip().lower() for name in names]
    key = next((name for name in _KEYS if name in header), None)
    if key is None or "label" not in header:
        raise DataError(
            f"{path}: line 1 must name the columns StudyInstanceUID or SOPInstanceUID, and label"
        )
    rows: dict[str, tuple[int, str]] = {}
    lines = csv_lines(path, separator)
    next(lines)
    for number, fields in lines:
        where = f"{path}: line {number}"
        if len(fields) != len(header):
            raise DataError(f"{where}: {len(fields)} fields, but the header has {len(header)}")
        row = dict(zip(header, map(str.strip, fields), strict=True))
        label = label_in_words(row["label"], positive, where)
        split = split_named(row.get("split", ""))
        if row.get("split") and not split:
            raise DataError(f"{where}: the split {row['split']!r} is not one of {ACCEPTED}")
        if rows.setdefault(row[key], (label, split)) != (label, split):
            raise DataError(f"{where}: {row[key]} has another label or split in a line above")
    return Labels(_KEYS[key], rows)


def _most_common(left_out: list[tuple[str, str]]) -> str:
    """Return the most common reason for leaving files out, as the end of a sentence."""
    if not left_out:
        return ": it holds no files"
    ((reason, count),) = Counter(reason for _, reason in left_out).most_common(1)
    path = next(path for path, its_reason in left_out if its_reason == reason)
    return f"; {path}{f' and {count - 1} others' if count > 1 else ''}: {reason}"


def _headers(
    folder: Path, progress: Progress | None
) -> tuple[dict[str, Header], list[tuple[str, str]]]:
    """Return the header of each DICOM file by path, and the path and reason of all other files."""
    headers: dict[str, Header] = {}
    seen: set[str] = set()  # SOP instances
    below = files_below(folder, _READERS)
    # Litter, broken links and the like. What other files are is said below.
    no_files = [file for file in below.left_out if file.reason == LITTER or not file.path.is_file()]
    left_out = list(as_table(no_files, folder).itertuples(index=False, name=None))
    known = {file.path for file in no_files}
    files = sorted({*below.images, *(file.path for file in below.left_out)} - known)
    for done, file in enumerate(files, start=1):
        path = file.relative_to(folder).as_posix()
        try:
            header = _header(file, path)
            if header.image in seen:
                raise DataError("is a copy of another file: it has the same SOPInstanceUID")
            seen.add(header.image)
            headers[path] = header
        except MuraError as error:
            left_out.append((path.encode(errors="backslashreplace").decode(), str(error)))
        if progress:
            progress(done, len(files))
    return headers, left_out


def _header(file: Path, path: str) -> Header:
    if reader_of(file, _READERS) is None:
        raise DataError("is not DICOM")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError("its name is not UTF-8; rename it") from None
    return read_header(file)


def _described(
    header: Header, salt: bytes, label: int, split: str
) -> tuple[str, str, str, int, str, str, str]:
    """Return a row after its path."""
    return (
        header.body_part or NO_PART,
        pseudonym(salt, "patient", header.patient),
        pseudonym(salt, "study", header.study),
        label,
        split,
        header.view,
        header.laterality,
    )


def _refuse_shared_studies(table: pd.DataFrame) -> None:
    patients = table.groupby("study")["patient"].nunique()
    shared = set(patients.index[patients > 1])
    if shared:
        rows = table[table["study"].isin(shared)].drop_duplicates(["study", "patient"])
        one, other = rows.sort_values("study")["path"].iloc[:2]
        raise DataError(f"{one} and {other} have one StudyInstanceUID, but two values of PatientID")
