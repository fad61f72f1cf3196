"""Resize images to a square: interpolation and aspect-ratio handling."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mura_core.imaging import extensions
from mura_core.imaging.cpu import instructions
from mura_core.imaging.radiograph import GreyImage
from mura_core.imaging.square import Method, Square

Level = TypeVar("Level", np.uint8, np.float32)


def resize(image: GreyImage, square: Square) -> NDArray[np.uint8]:
    """Resize an image to a square of 8-bit pixels, computed in float32 and rounded once.

    Parameters
    ----------
    image : ndarray of shape (H, W), uint8 or uint16
        16-bit pixels are scaled to 0..255: 65535 becomes 255.
    square : Square
        Size, interpolation and aspect-ratio handling.

    Returns
    -------
    ndarray of shape (size, size), uint8

    Raises
    ------
    ValueError
        The image has no pixels.
    """
    return _resized(image, square, np.uint8)


def resize_unrounded(image: GreyImage, square: Square) -> NDArray[np.float32]:
    """Resize an image to a square of float32 pixels from 0 to 255, without rounding.

    Parameters
    ----------
    image, square
        See `resize`.

    Returns
    -------
    ndarray of shape (size, size), float32
    """
    return _resized(image, square, np.float32)


def _resized(image: GreyImage, square: Square, dtype: type[Level]) -> NDArray[Level]:
    size = square.size
    height, width = image.shape
    if not height or not width:
        raise ValueError(f"an image of shape {image.shape} has no pixels")
    if height == width or square.fit == "stretch":
        resized = np.empty((size, size), dtype)
        _write_weighted(image, square.method, resized)
    elif square.fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        resized = np.empty((size, size), dtype)
        _write_weighted(image[top : top + side, left : left + side], square.method, resized)
    else:
        longer = max(height, width)
        inside = np.empty(
            (max(1, round(height * size / longer)), max(1, round(width * size / longer))), dtype
        )
        _write_weighted(image, square.method, inside)
        top, left = (size - inside.shape[0]) // 2, (size - inside.shape[1]) // 2
        resized = np.zeros((size, size), dtype)
        resized[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return resized


def _write_weighted(image: GreyImage, method: Method, out: NDArray[Level]) -> None:
    highest = 65535 if image.dtype == np.uint16 else 255
    extensions.resize.weighted(
        np.ascontiguousarray(image),  # type: ignore[arg-type]
        *_weights(image.shape[0], out.shape[0], method, highest),
        *_weights(image.shape[1], out.shape[1], method, 255),
        out,
        instructions(),
    )


@lru_cache(maxsize=1024)  # a data set has few sizes
def _weights(
    length: int, size: int, method: Method, highest: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the weights that resize an axis of `length` pixels to `size` pixels.

    The weights scale the level `highest` to 255.

    Returns
    -------
    first : ndarray of shape (size,), intp
        Index of the first input pixel of each output pixel.
    weights : ndarray of shape (size, taps), float32
        Weights of the input pixels starting at `first`.
    """
    scale = length / size  # input pixels per output pixel
    if method == "area":
        reach = scale / 2
    elif method == "bilinear":
        reach = max(scale, 1.0)
    else:
        reach = 1.0
    centres = (np.arange(size) + 0.5) * scale
    taps = min(int(np.ceil(2 * reach)) + 1, length)
    first = np.clip(np.floor(centres - reach), 0, length - taps).astype(np.intp)
    old = first[:, None] + np.arange(taps)  # (size, taps)
    if method == "area":
        edges = np.arange(size + 1) * scale
        upper, lower = np.minimum(old + 1, edges[1:, None]), np.maximum(old, edges[:-1, None])
        weights = upper - lower
    else:
        weights = 1 - np.abs(old + 0.5 - centres[:, None]) / reach
    weights = weights.clip(0)
    weights = weights[:, : np.flatnonzero(weights.any(axis=0))[-1] + 1]
    weights *= 255 / highest / weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


def enlarge(
    heat: NDArray[np.float32],
    height: int,
    width: int,
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.float32]:
    """Enlarge a heatmap by bilinear interpolation, with half-pixel centres as `tf.image.resize`.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32
        The heatmap.
    height, width : int
        Output size in pixels.
    box : tuple of float, optional
        Part of the heatmap to enlarge, as (left, top, right, bottom) in heatmap pixels; all of it
        by default.

    Returns
    -------
    ndarray of shape (height, width), float32
    """
    image = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(image)
