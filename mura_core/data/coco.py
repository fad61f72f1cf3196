"""Read the boxes of findings from annotations in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from mura_core.errors import DataError

BOX_COLUMNS = ["path", "x0", "y0", "x1", "y1"]


def read_coco(path: Path, images: Collection[str]) -> pd.DataFrame:
    """Return the boxes of a data set's images from a JSON file in COCO's format.

    Lin et al. 2014, arXiv:1405.0312; https://cocodataset.org/#format-data. A box is x, y, width and
    height, in pixels from the upper left corner. Every category counts as a finding.

    Parameters
    ----------
    path : Path
        The JSON file.
    images : collection of str
        The paths of the images. A file name in the annotations is the end of a path.

    Returns
    -------
    DataFrame
        One row per box: `path, x0, y0, x1, y1`. Boxes of other images are left out.

    Raises
    ------
    DataError
        The file isn't in COCO's format, or a file name belongs to several images.
    """
    content = _content(path)
    by_name: dict[str, list[str]] = {}
    for image in images:
        by_name.setdefault(PurePosixPath(image).name, []).append(image)
    try:
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        rows = [
            (_path_of(names[box["image_id"]], by_name, path), *_corners(box["bbox"]))
            for box in content["annotations"]
            if box.get("bbox")
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: is not in COCO's format: it needs 'images' with 'id' and 'file_name', and"
            f" 'annotations' with 'image_id' and 'bbox' ({type(error).__name__}: {error})"
        ) from None
    table = pd.DataFrame(rows, columns=BOX_COLUMNS)
    return table[table["path"] != ""].reset_index(drop=True)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is not in COCO's format: it must hold an object")
    return content


def _path_of(name: str, by_name: dict[str, list[str]], path: Path) -> str:
    """Return the image whose path ends in a file name; empty if it isn't in the data set."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    found = by_name.get(parts[-1] if parts else "", [])
    exact = [image for image in found if PurePosixPath(image).parts[-len(parts) :] == parts]
    found = exact or found
    if len(found) > 1:
        raise DataError(f"{path}: {name!r} may be {found[0]} or {found[1]}")
    return found[0] if found else ""


def _corners(box: list[float]) -> tuple[float, float, float, float]:
    left, top, width, height = map(float, box)
    return left, top, left + width, top + height
