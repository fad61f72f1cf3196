"""Folders without CSVs: `[<split>/]<body part>/<patient>/<study>_positive|_negative/`."""

from __future__ import annotations

from pathlib import Path

from mura_core.data.layouts.labels import refuse_unused
from mura_core.data.layouts.structure import read_folders
from mura_core.data.layouts.walk import image_paths, note_on_csvs, own_csvs
from mura_core.errors import DataError
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether the data is a folder; this layout is the last that is tried."""
    return data.is_dir()


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images of a folder, with what the names of their folders say.

    Parameters
    ----------
    data : Path
        The folder.
    options : LayoutOptions
        The file name endings of images.

    Raises
    ------
    DataError
        A folder isn't understood.
    """
    refuse_unused(data, options)
    paths = image_paths(data, options)
    try:
        places = read_folders({path.parts[:-1] for path in paths})
    except DataError as error:
        names = own_csvs(data)
        remedy = f". If {names[0]} lists the images: --data {data / names[0]}" if names else ""
        raise DataError(f"{data}: {error}{remedy}") from None
    rows = []
    for path in paths:
        place = places[path.parts[:-1]]
        rows.append(
            LabelledImage(
                path.as_posix(),
                place.body_part,
                place.patient,
                place.study,
                place.label,
                place.split,
            )
        )
    return LabelledImages(data, rows, note_on_csvs(data))
