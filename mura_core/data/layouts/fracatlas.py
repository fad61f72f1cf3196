"""FracAtlas as published: `dataset.csv`, `images/Fractured/` and `images/Non_fractured/`.

Abedeen et al. 2023, Scientific Data 10, doi:10.1038/s41597-023-02432-4.
"""

from __future__ import annotations

from pathlib import Path

from mura_core.data.layouts.labels import label_in_words, refuse_unused
from mura_core.data.layouts.tables import has_columns, root_of, rows_of
from mura_core.data.layouts.walk import by_name, image_paths, only_one
from mura_plugins import LabelledImage, LabelledImages, LayoutOptions

_TABLE = "dataset.csv"
_COLUMNS = ("image_id", "fractured")
_PARTS = ("hand", "leg", "hip", "shoulder")
_ANNOTATIONS = Path("Annotations") / "COCO JSON" / "COCO_fracture_masks.json"


def recognise(data: Path, _options: LayoutOptions) -> bool:
    """Return whether a folder, or its only subfolder, is FracAtlas.

    Parameters
    ----------
    data : Path
        An existing file or folder.
    """
    return root_of(data, _is_root) is not None


def read(data: Path, options: LayoutOptions) -> LabelledImages:
    """Return the images that FracAtlas' table lists. Abnormal means fractured.

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
    named = by_name(image_paths(root / "images", options))
    images = []
    for where, row in rows_of(root / _TABLE, _COLUMNS):
        name, label = row["image_id"], label_in_words(row["fractured"], (), where)
        folder = ("Non_fractured", "Fractured")[label]
        path = f"images/{only_one(named, name, where) or f'{folder}/{name}'}"
        parts = [part for part in _PARTS if row.get(part) == "1"]
        part = parts[0] if len(parts) == 1 and row.get("mixed") != "1" else "mixed"
        images.append(LabelledImage(path, part, Path(name).stem, "1", label))
    notes = [
        "FracAtlas: abnormal means fractured. It names no patients: each image counts as one.",
        "Its own split lists only fractured images and isn't used.",
    ]
    annotations = root / _ANNOTATIONS
    found = annotations if annotations.is_file() else None
    return LabelledImages(root, images, tuple(notes), found)


def _is_root(folder: Path) -> bool:
    return (folder / "images").is_dir() and has_columns(folder / _TABLE, _COLUMNS)
