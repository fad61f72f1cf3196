"""The command that makes a manifest of DICOM files."""

from __future__ import annotations

from pathlib import Path

import click

from mura_core.cli.group import command
from mura_core.cli.options import PathType, setting_options

_FILE = PathType(dir_okay=False, path_type=Path)


@command(
    click.argument(
        "folder", type=PathType(exists=True, file_okay=False, path_type=Path), metavar="FOLDER"
    ),
    click.option(
        "--labels",
        required=True,
        type=PathType(exists=True, dir_okay=False, path_type=Path),
        help="CSV file with the columns StudyInstanceUID or SOPInstanceUID, label, and optionally"
        " split.",
    ),
    setting_options("positive"),
    click.option("--out", required=True, type=_FILE, help="CSV file to write, for --data."),
    click.option(
        "--links",
        is_flag=True,
        help="List links to the files instead, named by pseudonyms, in a folder images next to the"
        " CSV file.",
    ),
    click.option(
        "--salt",
        type=_FILE,
        show_default="salt in the configuration folder",
        help="File of the salt, the key of the pseudonyms. It is made if it doesn't exist.",
    ),
    example="mura-run dicom-table PACS --labels labels.csv --links --out hands/manifest.csv",
)
def dicom_table(
    folder: Path,
    labels: Path,
    positive: tuple[str, ...],
    out: Path,
    links: bool,
    salt: Path | None,
) -> None:
    """Write a manifest of DICOM files, with labels by study or image.

    Body part, view and laterality come from the headers. Patients and studies are written as
    pseudonyms: the same salt gives the same ones. Names, dates and UIDs aren't written.
    """
    from mura_core.pipeline import write_dicom_table

    write_dicom_table(folder, labels, out, salt, positive=positive, links=links)
