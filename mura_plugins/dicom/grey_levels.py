"""From stored values to grey levels: modality LUT, VOI LUT or window, MONOCHROME1, padding.

pydicom's own functions map to the range of the stored values, and take the index into an 8-bit LUT
modulo 256; here every step maps to float64, and the last one from 0 to 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import PluginError

if TYPE_CHECKING:
    from pydicom import Dataset

_Floats = NDArray[np.float64]


def grey_levels(
    stored: NDArray[np.int64], dataset: Dataset, window: tuple[float, float] | None = None
) -> _Floats:
    """Return the grey levels of stored values.

    Parameters
    ----------
    stored : ndarray of shape (n,), int64
        All values that occur in the image.
    dataset : Dataset
    window : tuple of float, optional
        Centre and width, instead of the file's VOI LUT or window.

    Returns
    -------
    ndarray of shape (n,), float64
        From 0, black, to 1, white. Padding is black, and isn't part of the range of values that is
        shown if there is no VOI LUT and no window.

    Raises
    ------
    PluginError
        A LUT, or the slope and intercept, are invalid.
    """
    shown = ~_is_padding(stored, dataset)
    levels = np.zeros(len(stored))
    if shown.any():
        levels[shown] = _after_voi(_after_modality(stored[shown], dataset), dataset, window)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            levels[shown] = 1 - levels[shown]
    return levels


def _is_padding(stored: NDArray[np.int64], dataset: Dataset) -> NDArray[np.bool]:
    """Return which stored values are padding (PS3.3, C.7.5.1.1.2)."""
    padding, limit = (
        [_as_stored(int(number), dataset) for number in _numbers(dataset, keyword)[:1]]
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    )
    if not padding:
        return np.zeros(len(stored), bool)
    ends = padding + limit
    return (stored >= min(ends)) & (stored <= max(ends))


def _as_stored(value: int, dataset: Dataset) -> int:
    """Return a value with the sign of the pixels: some files have 63536 where they mean -2000."""
    size = 1 << dataset.BitsAllocated
    value %= size
    return value - size if dataset.PixelRepresentation == 1 and value >= size // 2 else value


# Modality LUT (PS3.3, C.11.1) ------------------------------------------------------------------


def _after_modality(stored: NDArray[np.int64], dataset: Dataset) -> _Floats:
    if dataset.get("ModalityLUTSequence"):
        return _lut(dataset, "ModalityLUTSequence").look_up(stored)
    (slope, *_), (intercept, *_) = (
        [*_numbers(dataset, keyword), default]
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if slope == 0 or not math.isfinite(slope * 2.0**64 + intercept):
        raise PluginError(f"can't be shown: RescaleSlope {slope}, RescaleIntercept {intercept}")
    return stored.astype(float) * slope + intercept


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the numbers of an element; none if it is absent or empty."""
    value = dataset.get(keyword)
    return [] if value is None or value == "" else np.atleast_1d(np.asarray(value, float)).tolist()


# VOI LUT and windows (PS3.3, C.11.2) -------------------------------------------------------------


def _after_voi(values: _Floats, dataset: Dataset, window: tuple[float, float] | None) -> _Floats:
    if window is not None:
        return _linear(values, *window)
    if dataset.get("VOILUTSequence"):
        lut = _lut(dataset, "VOILUTSequence")
        return lut.look_up(values) / lut.highest
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    for centre, width in _windows(dataset):
        if width >= 1 or (width > 0 and function != "LINEAR"):
            if function not in _FUNCTIONS:
                raise PluginError(f"has the VOILUTFunction {function!r}, which isn't supported")
            return _FUNCTIONS[function](values, centre, width)
    return _min_max(values)


def _windows(dataset: Dataset) -> list[tuple[float, float]]:
    """Return the centre and width of each window of the file."""
    centres, widths = (_numbers(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    pairs = zip(centres, widths, strict=False)
    return [pair for pair in pairs if all(map(math.isfinite, pair))]


def _linear(values: _Floats, centre: float, width: float) -> _Floats:
    """Return the levels of the function LINEAR (C.11.2.1.2.1)."""
    if width == 1:
        return (values > centre - 0.5).astype(float)
    return ((values - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1)


def _linear_exact(values: _Floats, centre: float, width: float) -> _Floats:
    return ((values - centre) / width + 0.5).clip(0, 1)


def _sigmoid(values: _Floats, centre: float, width: float) -> _Floats:
    # The logistic function, written so that it can't overflow.
    return (1 + np.tanh(2 * (values - centre) / width)) / 2


_FUNCTIONS = {"LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid}


def _min_max(values: _Floats) -> _Floats:
    lowest, highest = values.min(), values.max()
    return (values - lowest) / (highest - lowest) if highest > lowest else np.zeros(len(values))


class _Lut(NamedTuple):
    """A look-up table: its entries, the first value it maps, and its highest possible level."""

    entries: NDArray[np.uint16]
    first: int
    highest: int

    def look_up(self, values: NDArray[np.integer] | _Floats) -> _Floats:
        """Return the entries of values; those outside get the first or the last entry."""
        places = np.rint(values - self.first).clip(0, len(self.entries) - 1)
        return self.entries[places.astype(np.int64)].astype(float)


def _lut(dataset: Dataset, keyword: str) -> _Lut:
    """Return the first table of a sequence."""
    item = dataset[keyword].value[0]
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count % (1 << 16) or 1 << 16  # 0 stands for 65,536 entries
    words = _words(item.LUTData, dataset)
    if len(words) < count <= 2 * len(words):
        words = words.astype("<u2").view(np.uint8).astype(np.uint16)  # two entries a word
    if len(words) < count:
        raise PluginError(f"is damaged: {keyword} has {len(words)} of {count} entries")
    entries = words[:count]
    # Some files declare fewer bits than their entries have.
    return _Lut(entries, first, (1 << max(bits, int(entries.max()).bit_length())) - 1)


def _words(data: object, dataset: Dataset) -> NDArray[np.uint16]:
    if not isinstance(data, bytes):
        return (np.atleast_1d(np.asarray(data, np.int64)) % (1 << 16)).astype(np.uint16)
    order = "<" if dataset.original_encoding[1] else ">"
    return np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype(np.uint16)
