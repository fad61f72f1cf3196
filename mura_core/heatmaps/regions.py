"""Locate findings and burnt-in letters in the square images that the network sees."""

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

_TUNING = 24  # training images on which the marked share of a map is chosen


@dataclass(frozen=True)
class Region:
    """Masks of findings or letters in the square images.

    Attributes
    ----------
    masks : dict of ndarray of shape (H, W), bool
        Masks of explained images, by path.
    training_masks : sequence of ndarray of shape (H, W), bool
        Masks of training images.
    training_images : sequence of ndarray of shape (H, W), uint8
        The images that the first training masks belong to.
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
    """Return the findings of `boxes.csv` as masks of explained and of training images.

    Parameters
    ----------
    manifest : Manifest
        The data, whose folder or its parent has `boxes.csv`.
    explained : Series
        Paths of the explained images. With folds these are training images too; they are left out
        of `training_masks`.
    prepared : PreparedImages
        The resized images, from which training images are taken.
    square : Square
        How radiographs were resized to squares.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.

    Returns
    -------
    Region
        Empty if no explained image has a finding inside its square.
    """
    boxes = read_boxes(manifest, FINDINGS)
    with_boxes = boxes.keys() & set(explained)
    masks = {}
    for path, radiograph in _readable(manifest, with_boxes, readers, square.bit_depth):
        masks[path] = box_mask(boxes[path], radiograph.shape, square)
    masks = {path: mask for path, mask in masks.items() if mask.any()}  # not cropped away
    if not masks:
        return Region()
    trains = manifest.table["path"][manifest.table["split"] == "train"]
    others = [path for path in trains if path in boxes and path not in with_boxes]
    training_masks: list[NDArray[np.bool_]] = []
    training_images: list[NDArray[np.uint8]] = []
    rows = pd.Series(np.arange(len(prepared.table)), index=prepared.table["path"])
    for path, radiograph in _readable(manifest, others, readers, square.bit_depth):
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

    Parameters
    ----------
    manifest : Manifest
        The data, whose folder or its parent has `boxes.csv`.
    prepared : PreparedImages
        The resized images.
    square : Square
        How radiographs were resized to squares.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.

    Returns
    -------
    ndarray of shape (images, most boxes in an image, 4), float32, or None
        Left, top, right and bottom in pixels of the square, padded with NaN. None if the data has
        no `boxes.csv` or none of its boxes lies in an image.
    """
    boxes = read_boxes(manifest, FINDINGS)
    rows = pd.Series(np.arange(len(prepared.table)), index=prepared.table["path"])
    paths = boxes.keys() & set(rows.index)
    found = {
        int(rows[path]): in_square(boxes[path], radiograph.shape, square)
        for path, radiograph in _readable(manifest, paths, readers, square.bit_depth)
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
    """Return masks of burnt-in letters, from `letters.csv` or else by text detection.

    Parameters
    ----------
    manifest : Manifest
        The data, whose folder or its parent may have `letters.csv`.
    judged : sequence of str
        Paths of the judged images.
    square : Square
        How radiographs were resized to squares.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    progress : callable
        Called with the number of searched images and their total.

    Returns
    -------
    region : Region
        Masks of the images that have letters.
    known : bool
        True if the masks are from `letters.csv`, False if the letters were detected.
    """
    boxes = read_boxes(manifest, LETTERS)
    known = bool(boxes)
    masks = {}
    paths = [path for path in judged if path in boxes] if known else judged
    readable = _readable(manifest, paths, readers, square.bit_depth)
    for number, (path, radiograph) in enumerate(readable, start=1):
        found = boxes[path] if known else find_letters(radiograph)
        mask = box_mask(found, radiograph.shape, square)
        if mask.any() and not mask.all():
            masks[path] = mask
        progress(number, len(paths))
    return Region(masks), known


def _readable(
    manifest: Manifest, paths: Collection[str], readers: Readers, bit_depth: int
) -> Iterator[tuple[str, GreyImage]]:
    for path in paths:
        try:
            yield (
                path,
                read_radiograph(manifest.folder / path, readers=readers, bit_depth=bit_depth),
            )
        except RadiographError:
            continue  # reported when the images were prepared, and left out of the run
