"""Bounding boxes of findings and burnt-in letters that come with a data set."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mura_core.data.coco import BOX_COLUMNS, read_coco
from mura_core.data.manifest import Manifest
from mura_core.errors import DataError
from mura_core.imaging import Square
from mura_core.tables import read_table

FINDINGS, LETTERS = "boxes.csv", "letters.csv"


class Box(NamedTuple):
    """A bounding box in pixels, measured from the upper left corner of the image."""

    left: float
    top: float
    right: float
    bottom: float


def read_boxes(
    manifest: Manifest, name: str, annotations: Path | None = None
) -> dict[str, list[Box]]:
    """Return the bounding boxes of a data set, by image path.

    The boxes are read from an optional CSV file in the data folder or its parent. Its columns are
    `path, x0, y0, x1, y1`, in pixels of the original radiograph. Without that file, the boxes of
    findings are those of the annotations that the data set comes with.

    Parameters
    ----------
    manifest : Manifest
        The data set. Boxes of other images are ignored.
    name : str
        File name, such as `FINDINGS` or `LETTERS`.
    annotations : Path, optional
        JSON file in COCO's format to read instead.

    Returns
    -------
    dict of str to list of Box
        The boxes of each image that has any; empty if there is no such file.

    Raises
    ------
    DataError
        The file isn't such a table, or a box is empty or not finite.
    """
    folders = (manifest.folder, manifest.folder.parent)
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None and name == FINDINGS:
        annotations = annotations or manifest.annotations
    if annotations is not None:
        path, table = annotations, read_coco(annotations, manifest.table["path"])
    elif path is not None:
        table = read_table(path, BOX_COLUMNS)
    else:
        return {}
    known = set(manifest.table["path"])
    boxes: dict[str, list[Box]] = {}
    for number, row in enumerate(table[BOX_COLUMNS].itertuples(index=False, name=None), start=2):
        image = row[0]
        # As in MURA's CSVs, paths may start with the name of the data folder.
        image = image if image in known else image.removeprefix(f"{manifest.folder.name}/")
        box = Box(*row[1:])
        if not (all(map(isfinite, box)) and box.left < box.right and box.top < box.bottom):
            where = image if path == annotations else f"line {number}"
            raise DataError(f"{path}: {where}: {tuple(box)} is not a box with x0 < x1, y0 < y1")
        if image in known:
            boxes.setdefault(image, []).append(box)
    return boxes


def box_mask(boxes: list[Box], shape: tuple[int, int], square: Square) -> NDArray[np.bool_]:
    """Return a mask of the pixels of a resized radiograph that lie in its boxes.

    Parameters
    ----------
    boxes : list of Box
        In pixels of the original radiograph.
    shape : tuple of int
        The original (height, width).
    square : Square
        How the radiograph was resized.

    Returns
    -------
    ndarray of shape (size, size), bool
        True for pixels whose centre lies in a box. A box smaller than a pixel marks the pixel that
        contains its centre.
    """
    size = square.size
    pitch, start = _grid(shape, square)
    mask = np.zeros((size, size), bool)
    for box in boxes:
        rows = _within(box.top, box.bottom, start[0], pitch[0], size)
        columns = _within(box.left, box.right, start[1], pitch[1], size)
        mask[rows, columns] = True
    return mask


def in_square(boxes: list[Box], shape: tuple[int, int], square: Square) -> list[Box]:
    """Return a radiograph's boxes in the pixel coordinates of the resized image.

    Parameters
    ----------
    boxes : list of Box
        In pixels of the original radiograph.
    shape : tuple of int
        The original (height, width).
    square : Square
        How the radiograph was resized.

    Returns
    -------
    list of Box
        In the same order, clipped to the square; boxes outside it are dropped.
    """
    pitch, start = _grid(shape, square)
    moved = []
    for box in boxes:
        left, right = ((edge - start[1]) / pitch[1] for edge in (box.left, box.right))
        top, bottom = ((edge - start[0]) / pitch[0] for edge in (box.top, box.bottom))
        left, top, right, bottom = np.clip((left, top, right, bottom), 0, square.size).tolist()
        if left < right and top < bottom:
            moved.append(Box(left, top, right, bottom))
    return moved


def _grid(shape: tuple[int, int], square: Square) -> tuple[tuple[float, float], ...]:
    """Return the size and origin (y, x) of the square's pixels, in pixels of the radiograph."""
    height, width = shape
    if square.fit == "stretch":
        return (height / square.size, width / square.size), (0.0, 0.0)
    side = max(shape) if square.fit == "pad" else min(shape)
    pitch = side / square.size
    return (pitch, pitch), ((height - side) / 2, (width - side) / 2)


def _within(first: float, last: float, start: float, pitch: float, size: int) -> slice:
    # Pixel i's centre is at start + (i + 0.5) * pitch.
    begin = int(np.ceil((first - start) / pitch - 0.5))
    end = int(np.ceil((last - start) / pitch - 0.5))
    if end <= begin:  # smaller than a pixel: mark the pixel that contains its centre
        begin = int(np.floor(((first + last) / 2 - start) / pitch))
        end = begin + 1
    return slice(min(max(begin, 0), size), min(max(end, 0), size))
