"""Where findings and burnt-in letters are in the squares that a network sees."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import (
    FINDINGS,
    LETTERS,
    Manifest,
    PreparedImages,
    box_mask,
    in_square,
    read_boxes,
)
from mura_core.errors import RadiographError
from mura_core.heatmaps.measures.localisation import Masks
from mura_core.heatmaps.text_detection import find_letters
from mura_core.imaging import GreyImage, Readers, Square, read_radiograph
from mura_core.progress import Progress

_TUNING = 24  # training images, by which it is chosen how much of a map counts as marked


@dataclass(frozen=True)
class Region:
    """Where something is known to be, as masks of shape (H, W), bool.

    Attributes
    ----------
    masks : dict
        By the paths of explained images.
    training_masks : sequence
        Of training images.
    training_images : sequence of ndarray of shape (H, W), uint8
        Those of the first training masks.
    """

    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    training_masks: Masks = ()
    training_images: Sequence[NDArray[np.uint8]] = ()


def findings_region(
    manifest: Manifest,
    explained: pd.Series,
    prepared: PreparedImages,
    square: Square,
    readers: Readers,
) -> Region:
    """Return where the data's `boxes.csv` says that findings are, in explained and training images.

    Parameters
    ----------
    explained : Series
        Their paths; one that trains, as with folds, isn't taken for a training image.
    """
    boxes = read_boxes(manifest, FINDINGS)
    with_boxes = boxes.keys() & set(explained)
    masks = {}
    for path, radiograph in _readable(manifest, with_boxes, readers):
        masks[path] = box_mask(boxes[path], radiograph.shape, square)
    masks = {path: mask for path, mask in masks.items() if mask.any()}  # not cut off
    if not masks:
        return Region()
    trains = manifest.table["path"][manifest.table["split"] == "train"]
    others = [path for path in trains if path in boxes and path not in with_boxes]
    training_masks: list[NDArray[np.bool_]] = []
    training_images: list[NDArray[np.uint8]] = []
    rows = pd.Series(np.arange(len(prepared.table)), index=prepared.table["path"])
    for path, radiograph in _readable(manifest, others, readers):
        mask = box_mask(boxes[path], radiograph.shape, square)
        if mask.any() and path in rows:
            training_masks.append(mask)
            if len(training_images) < _TUNING:
                training_images.append(np.array(prepared.images[rows[path]]))
    return Region(masks, training_masks, training_images)


def finding_boxes(
    manifest: Manifest, prepared: PreparedImages, square: Square, readers: Readers
) -> NDArray[np.float32] | None:
    """Return the boxes of the findings in each prepared image.

    Returns
    -------
    ndarray of shape (images, most boxes of an image, 4), float32
        Left, top, right and bottom in pixels of the square, NaN where an image has fewer. None
        where the data has no `boxes.csv`, or none of its boxes is in an image.
    """
    boxes = read_boxes(manifest, FINDINGS)
    rows = pd.Series(np.arange(len(prepared.table)), index=prepared.table["path"])
    found = {
        int(rows[path]): in_square(boxes[path], radiograph.shape, square)
        for path, radiograph in _readable(manifest, boxes.keys() & set(rows.index), readers)
    }
    most = max(map(len, found.values()), default=0)
    if not most:
        return None
    table = np.full((len(rows), most, 4), np.nan, np.float32)
    for row, own in found.items():
        table[row, : len(own)] = own
    return table


def letters_region(
    manifest: Manifest,
    judged: Sequence[str],
    square: Square,
    readers: Readers,
    progress: Progress,
) -> tuple[Region, bool]:
    """Return where burnt-in letters are in judged images, and whether the data says so.

    Where it has no `letters.csv`, they are looked for.
    """
    boxes = read_boxes(manifest, LETTERS)
    known = bool(boxes)
    masks = {}
    paths = [path for path in judged if path in boxes] if known else judged
    for number, (path, radiograph) in enumerate(_readable(manifest, paths, readers), start=1):
        found = boxes[path] if known else find_letters(radiograph)
        mask = box_mask(found, radiograph.shape, square)
        if mask.any() and not mask.all():
            masks[path] = mask
        progress(number, len(paths))
    return Region(masks), known


def _readable(
    manifest: Manifest, paths: Collection[str], readers: Readers
) -> Iterator[tuple[str, GreyImage]]:
    for path in paths:
        try:
            yield path, read_radiograph(manifest.folder / path, readers=readers)
        except RadiographError:
            continue  # left out of the run, and said so, when it was prepared
