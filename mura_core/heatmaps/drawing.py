"""Draw a heatmap over its radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_core.imaging import Fit, GreyImage, enlarge

_GREATEST_OPACITY = 0.7


@dataclass(frozen=True)
class Drawing:
    """A drawn heatmap at the size of the radiograph.

    Attributes
    ----------
    heatmap : ndarray of shape (H, W, 3), uint8
        The coloured map.
    overlay : ndarray of shape (H, W, 3), uint8
        The map blended with the radiograph.
    """

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
    """Draw a map over its radiograph, in inferno or, if signed, in coolwarm.

    Inferno is safe for colour-blind readers and in greyscale. Coolwarm runs from blue (evidence
    against) to red (evidence for), which colour-blind readers can tell apart. Opacity is
    proportional to the evidence, so the radiograph isn't tinted where there is none.

    Parameters
    ----------
    radiograph : ndarray of shape (H, W), uint8 or uint16
    evidence_map : ndarray of shape (h, w), float32
        The raw map, in logits.
    scale : float
        The evidence that gets the top colour of the colour map; in a signed map, its negative gets
        the bottom colour.
    fit : {"stretch", "pad", "crop"}
        How the radiograph was fitted to the square that the map covers.
    signed : bool
        Whether values below 0 are evidence against 'abnormal'.

    Returns
    -------
    Drawing
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
    """Draw a map as in the 2019 report: jet at half strength, each image scaled by its maximum.

    Use it to compare with the report, not to judge evidence: jet's lightness isn't monotonic, and
    it tints areas without evidence blue.

    Parameters
    ----------
    radiograph : ndarray of shape (H, W), uint8 or uint16
    evidence_map : ndarray of shape (h, w), float32
        The raw map, in logits. Values below 0 count as 0.
    fit : {"stretch", "pad", "crop"}
        How the radiograph was fitted to the square that the map covers.

    Returns
    -------
    Drawing
    """
    positive = evidence_map.clip(0)
    heat = _spread(_fraction(positive, float(positive.max())), radiograph.shape, fit)
    heatmap = _colours("jet", heat)
    overlay = 0.5 * heatmap + _eight_bit(radiograph)[..., None]
    return Drawing(heatmap, np.rint(overlay.clip(0, 255)).astype(np.uint8))


def colour_bar(style: str, *, signed: bool = False) -> NDArray[np.uint8]:
    """Return the colour bar of a style, from the lowest to the highest evidence.

    Parameters
    ----------
    style : {"inferno", "report2019"}
    signed : bool
        Whether the maps are signed; ignored for `report2019`.

    Returns
    -------
    ndarray of shape (12, 256, 3), uint8
    """
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (12, 1))
    if style == "report2019":
        return _colours("jet", ramp)
    return _colours("coolwarm" if signed else "inferno", ramp)


def _fraction(evidence_map: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    # A scale of 0 means that no map has any evidence: return an empty map, don't divide by 0.
    return np.clip(evidence_map / scale, -1, 1) if scale > 0 else np.zeros_like(evidence_map)


def _spread(heat: NDArray[np.float32], shape: tuple[int, int], fit: Fit) -> NDArray[np.float32]:
    """Resample a map of the square to the radiograph's `shape` (H, W)."""
    height, width = shape
    if fit == "crop":
        # The network never saw the cropped borders, so their evidence is 0.
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
