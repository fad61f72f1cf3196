"""A map of evidence, drawn over the radiograph it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_core.imaging import Fit, GreyImage, enlarge

_GREATEST_OPACITY = 0.7


@dataclass(frozen=True)
class Drawing:
    """A heatmap as two pictures of the radiograph's own size, (H, W, 3) uint8."""

    heatmap: NDArray[np.uint8]
    overlay: NDArray[np.uint8]


def draw(
    radiograph: GreyImage,
    evidence_map: NDArray[np.float32],
    scale: float,
    fit: Fit = "stretch",
    *,
    signed: bool = False,
) -> Drawing:
    """Draw a map in inferno's colours, which read the same to colour-blind eyes and in grey.

    A signed map is drawn from blue, against, to red, for; colour-blind eyes tell them apart.
    Opacity grows with the evidence, so where there is none the radiograph shows untinted.

    Parameters
    ----------
    radiograph : ndarray of shape (H, W), uint8 or uint16
    evidence_map : ndarray of shape (h, w), float32
    scale : float
        The evidence that gets the hottest colour; of a signed map, also the evidence against that
        gets the coldest.
    fit : {"stretch", "pad", "crop"}
        How the radiograph was made a square, which the map covers.
    signed : bool
        Whether values below 0 are evidence against.
    """
    heat = _spread(_fraction(evidence_map, scale), radiograph.shape, fit)
    heatmap = (
        _colours("coolwarm", (heat + 1) / np.float32(2)) if signed else _colours("inferno", heat)
    )
    if not signed:
        heat = heat.clip(0)
    opacity = _GREATEST_OPACITY * np.abs(heat)[..., None]
    overlay = (1 - opacity) * _eight_bit(radiograph)[..., None] + opacity * heatmap
    return Drawing(heatmap, np.rint(overlay).astype(np.uint8))


def draw_as_in_2019(
    radiograph: GreyImage, evidence_map: NDArray[np.float32], fit: Fit = "stretch"
) -> Drawing:
    """Draw a map as the 2019 report did: jet, each image by its own maximum, half on top.

    Jet runs light to dark at both ends and tints what has no evidence blue: for comparison with
    the report, not for judging evidence.
    """
    positive = evidence_map.clip(0)
    heat = _spread(_fraction(positive, float(positive.max())), radiograph.shape, fit)
    heatmap = _colours("jet", heat)
    overlay = 0.5 * heatmap + _eight_bit(radiograph)[..., None]
    return Drawing(heatmap, np.rint(overlay.clip(0, 255)).astype(np.uint8))


def colour_bar(style: str, *, signed: bool = False) -> NDArray[np.uint8]:
    """Return a style's colours, the least evidence first, of shape (12, 256, 3), uint8."""
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (12, 1))
    if style == "report2019":
        return _colours("jet", ramp)
    return _colours("coolwarm" if signed else "inferno", ramp)


def _fraction(evidence_map: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    # Without any evidence there is nothing to divide by: the map stays empty.
    return np.clip(evidence_map / scale, -1, 1) if scale > 0 else np.zeros_like(evidence_map)


def _spread(heat: NDArray[np.float32], shape: tuple[int, int], fit: Fit) -> NDArray[np.float32]:
    """Return a map of the square as one of the radiograph, of `shape` (H, W)."""
    height, width = shape
    if fit == "crop":
        # What was cut off has no evidence.
        side = min(shape)
        top, left = (height - side) // 2, (width - side) // 2
        spread = np.zeros(shape, np.float32)
        spread[top : top + side, left : left + side] = enlarge(heat, side, side)
        return spread
    if fit == "pad":
        rows, columns = heat.shape
        used_rows, used_columns = rows * height / max(shape), columns * width / max(shape)
        top, left = (rows - used_rows) / 2, (columns - used_columns) / 2
        return enlarge(heat, height, width, (left, top, left + used_columns, top + used_rows))
    return enlarge(heat, height, width)


def _colours(name: str, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    import matplotlib

    return matplotlib.colormaps[name](heat, bytes=True)[..., :3]


def _eight_bit(radiograph: GreyImage) -> NDArray[np.uint8]:
    if radiograph.dtype == np.uint16:
        return np.rint(radiograph / 257).astype(np.uint8)
    return radiograph  # type: ignore[return-value]
