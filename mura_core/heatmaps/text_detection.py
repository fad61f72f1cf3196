"""Burnt-in letters, found by what they are: thin, bright and sharp on a plain ground.

Bones are not: their edges fade, and what is beside them is tissue. A text reader finds more
letters, takes hundreds of times longer, and reads hands and spines, too (docs/heatmaps.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mura_core.data import Box
from mura_core.imaging import GreyImage

_SIDE = 512  # pixels that the longest side is reduced to: a letter has 8 to 40 of them
_BRUSH = 15  # pixels: a stroke is thinner
_STROKE = 50  # levels above what is left when strokes are brushed away
_WHITE = 220  # the level of a letter's brightest pixel; of all its pixels, half of it
_HEIGHT = 6, 0.1  # pixels; of the longest side
_RING = 4  # pixels around a letter in which the ground is looked at
_STEP = 50  # levels between a letter and its ground
_PLAIN = 20, 0.2  # levels; of that step: the ground's greatest standard deviation


def find_letters(radiograph: GreyImage) -> list[Box]:
    """Return boxes around what looks like burnt-in letters and signs, one for each.

    Bright ones on a dark ground are found. Letters that touch a bone or the border, or are darker
    than their ground, are not.

    Parameters
    ----------
    radiograph : ndarray of shape (H, W), uint8 or uint16

    Returns
    -------
    list of Box
        In the radiograph's pixels.
    """
    from scipy.ndimage import find_objects, label, white_tophat

    levels, pitch = _reduced(radiograph)
    above_ground = white_tophat(levels, size=_BRUSH)
    strokes = (above_ground > _STROKE) & (levels > _WHITE / 2)
    labels, _ = label(strokes, np.ones((3, 3)))
    boxes = []
    for number, place in enumerate(find_objects(labels), start=1):
        if _is_letter(levels, strokes, labels[place] == number, place):
            rows, columns = place
            corners = np.array([columns.start, rows.start, columns.stop, rows.stop])
            boxes.append(Box(*map(float, corners * np.tile(pitch, 2))))
    return boxes


def _reduced(radiograph: GreyImage) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return levels of 0 to 255, and how many of the radiograph's columns and rows a pixel is."""
    levels = radiograph.astype(np.float32)
    if radiograph.dtype == np.uint16:
        levels /= 257
    height, width = radiograph.shape
    scale = min(1, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        levels = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))
    return levels, np.array([width / size[0], height / size[1]])


def _is_letter(
    levels: NDArray[np.float32],
    strokes: NDArray[np.bool_],
    shape: NDArray[np.bool_],
    place: tuple[slice, slice],
) -> bool:
    """Whether a connected shape of strokes at a place is one."""
    from scipy.ndimage import binary_dilation, distance_transform_cdt

    height, width = shape.shape
    longest = _HEIGHT[1] * max(levels.shape)
    if not (_HEIGHT[0] <= height <= longest and 2 <= width <= longest and height * width >= 24):
        return False
    if not 0.12 <= shape.mean() <= 0.95:  # a scratch; a full rectangle
        return False
    if any(p.start == 0 or p.stop == side for p, side in zip(place, levels.shape, strict=True)):
        return False  # the film's border
    thickness = 2 * distance_transform_cdt(np.pad(shape, 1), "chessboard").max() - 1
    if thickness > max(3, 0.35 * height):
        return False
    letter = levels[place][shape]
    if letter.max() < _WHITE:
        return False
    wider = tuple(slice(max(0, p.start - _RING), p.stop + _RING) for p in place)
    ring = ~binary_dilation(strokes[wider])
    rows, columns = (
        slice(p.start - w.start, p.stop - w.start) for p, w in zip(place, wider, strict=True)
    )
    ring[rows, columns] = False
    ground = levels[wider][ring]
    if len(ground) < 8:
        return False
    step = np.median(letter) - np.percentile(ground, 90)
    return bool(step >= _STEP and ground.std() <= max(_PLAIN[0], _PLAIN[1] * step))
