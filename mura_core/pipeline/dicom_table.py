"""Write a manifest of DICOM files, without a name, date or UID."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mura_core.data import DicomTable, default_salt_file, dicom_rows, read_salt
from mura_core.errors import DataError, UsageError
from mura_core.files import refuse_unwritable, write_csv
from mura_core.progress import progress

log = logging.getLogger("mura")

LINKS = "images"


def write_dicom_table(
    folder: Path,
    labels_csv: Path,
    out: Path,
    salt_file: Path | None = None,
    *,
    positive: Sequence[str] = (),
    links: bool = False,
) -> None:
    """Write a manifest of the DICOM files below a folder, with pseudonyms from a salt.

    Parameters
    ----------
    folder : Path
    labels_csv : Path
        CSV file with `StudyInstanceUID` or `SOPInstanceUID`, `label` and optionally `split`.
    out : Path
        The manifest to write, in a folder that contains `folder` unless `links` is given.
    salt_file : Path, optional
        File of the salt; by default in the user's configuration folder. Made if there is none.
    positive : sequence of str, optional
        The labels that mean abnormal; by default 1, true, yes, abnormal and positive.
    links : bool
        Whether the manifest lists links to the files, named by pseudonyms, in the folder `images`
        next to it.

    Raises
    ------
    UsageError
        The manifest would be outside, or the salt would be inside the data, or paths contain names,
        numbers, UIDs or dates.
    DataError
        The labels or the salt are invalid, or no file has a label.
    """
    refuse_unwritable(out)
    salt_file = default_salt_file() if salt_file is None else salt_file
    _refuse_places(folder, out, salt_file, links=links)
    is_new = not salt_file.exists()
    salt = read_salt(salt_file)
    if is_new:
        log.info("Made a new salt: %s. Keep it: another gives other pseudonyms.", salt_file)
    with progress("Reading headers", "files") as so_far:
        found = dicom_rows(folder, labels_csv, salt, positive=positive, progress=so_far)
    _say_what_was_left_out(found)
    table = found.table
    if links:
        names = [
            f"{LINKS}/{patient}/{study}/{instance}.dcm"
            for patient, study, instance in zip(
                table["patient"], table["study"], found.instances, strict=True
            )
        ]
        for name, path in zip(names, table["path"], strict=True):
            _link(out.parent / name, folder / path)
        table = table.assign(path=names)
    else:
        _refuse_telling(found)
        above = Path(os.path.relpath(folder, out.parent)).as_posix()
        table = table.assign(path=[os.path.normpath(f"{above}/{path}") for path in table["path"]])
    if (table["split"] == "").all():
        table = table.drop(columns="split")
    write_csv(out, table.sort_values("path"))
    log.info(
        "%s: %d images of %d studies and %d patients. Train with --data %s",
        out, len(table), table["study"].nunique(), table["patient"].nunique(), out,
    )  # fmt: skip


def _refuse_places(folder: Path, out: Path, salt_file: Path, *, links: bool) -> None:
    salt_folder = salt_file.resolve().parent
    if salt_folder.is_relative_to(folder.resolve()) or salt_folder == out.parent.resolve():
        raise UsageError(
            f"--salt {salt_file} is next to the images or the table: who gets them must not get the"
            " salt; keep it elsewhere"
        )
    if links and out.parent.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--out {out} is in {folder}: with --links, write it to another folder")
    if not links and not folder.resolve().is_relative_to(out.parent.resolve()):
        raise UsageError(
            f"--out {out} lists paths relative to its folder, which must contain {folder}; or add"
            " --links"
        )


def _refuse_telling(found: DicomTable) -> None:
    if found.telling:
        raise UsageError(
            f"the paths of {len(found.telling)} of {len(found.table)} images contain a patient's"
            f" name or number, a date or a UID, such as {found.telling[0]}; add --links to list"
            " links with other names"
        )


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve())
    except OSError as error:
        raise DataError(f"{link}: can't be made ({error.strerror})") from None


def _say_what_was_left_out(found: DicomTable) -> None:
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for path, reason in found.left_out:
        first.setdefault(reason, path)
        counts[reason] += 1
        log.debug("Left out: %s: %s", path, reason)
    for reason, count in counts.items():
        others = f" (and {count - 1} others)" if count > 1 else ""
        log.warning("Left out: %s%s: %s", first[reason], others, reason)
    if found.unused:
        log.warning("%d labels belong to no image below the folder.", found.unused)
