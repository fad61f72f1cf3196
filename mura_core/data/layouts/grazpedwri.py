"""GRAZPEDWRI-DX as published: `dataset.csv`, and 16-bit PNG files in `images_part1/` and others.

Nagy et al. 2022, Scientific Data 9, doi:10.1038/s41597-022-01328-z.
"""

from __future__ import annotations

from pathlib import Path

from mura_core.data.layouts.labels import label_in_words, refuse_unused
from mura_core.data.layouts.tables import has_columns, root_of, rows_of
from mura_core.data.layouts.walk import by_name, image_paths, only_one
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions

_TABLE = "dataset.csv"
_COLUMNS = ("filestem", "patient_id", "study_number", "fracture_visible")
_PART = "wrist"


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether a folder, or its only subfolder, is GRAZPEDWRI-DX.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    """
    return root_of(data, _is_root) is not None


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that GRAZPEDWRI-DX's table lists. Abnormal means a visible fracture.

    Parameters
    ----------
    data : Path
        The folder.
    options : LayoutOptions
        The file name endings of images.

    Raises
    ------
    DataError
        A line isn't understood, or a name belongs to several files.
    """
    refuse_unused(data, options)
    root = root_of(data, _is_root) or data
    named = by_name(image_paths(root, options))
    images = []
    for where, row in rows_of(root / _TABLE, _COLUMNS):
        stem = row["filestem"]
        path = only_one(named, stem, where) or f"{stem}.png"
        # The cell of an image without a visible fracture is empty.
        label = label_in_words(row["fracture_visible"] or "0", (), where)
        images.append(LabelledImage(path, _PART, row["patient_id"], row["study_number"], label))
    return LabelledImages(root, images, ("GRAZPEDWRI-DX: abnormal means a visible fracture.",))


def _is_root(folder: Path) -> bool:
    return has_columns(folder / _TABLE, _COLUMNS)
