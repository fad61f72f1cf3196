"""Detect burnt-in letters: thin, bright and sharp strokes on a uniform background.

Bones differ: their edges fade, and they are surrounded by tissue. OCR finds more letters, but takes
hundreds of times longer and also reads text in hands and spines (docs/heatmaps.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mura_core.data import Box
from mura_core.imaging import GreyImage

_SIDE = 512  # pixels: the longest side after downscaling, so that letters are 8 to 40 pixels high
_BRUSH = 15  # pixels: size of the top-hat filter, larger than a stroke's width
_STROKE = 50  # grey levels: minimum top-hat response of a stroke
_WHITE = 220  # grey level: a letter's brightest pixel reaches it, all its pixels exceed half of it
_HEIGHT = 6, 0.1  # minimum height in pixels; maximum height as a share of the longest side
_RING = 4  # pixels: width of the ring around a letter in which the background is measured
_STEP = 50  # grey levels: minimum contrast between a letter and its background
_PLAIN = 20, 0.2  # maximum standard deviation of the background: grey levels; share of contrast


def find_letters(radiograph: GreyImage) -> list[Box]:
    """Return one box per burnt-in letter or sign.

    Only bright letters on a dark background are found. Letters that touch a bone or the border, or
    are darker than their background, are missed.

    Parameters
    ----------
    radiograph : ndarray of shape (H, W), uint8 or uint16

    Returns
    -------
    list of Box
        Boxes in pixels of the radiograph.
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
    """Return a downscaled image of levels 0 to 255, and its pixel's width and height."""
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
    """Return whether a connected component of strokes looks like a letter."""
    from scipy.ndimage import binary_dilation, distance_transform_cdt

    height, width = shape.shape
    longest = _HEIGHT[1] * max(levels.shape)
    if not (_HEIGHT[0] <= height <= longest and 2 <= width <= longest and height * width >= 24):
        return False
    if not 0.12 <= shape.mean() <= 0.95:  # a diagonal scratch; a filled rectangle
        return False
    if any(p.start == 0 or p.stop == side for p, side in zip(place, levels.shape, strict=True)):
        return False  # touches the border of the film
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
