"""Read the image of a DICOM file.

As PS3.4, N.2 has it: the stored values go through the modality LUT and then through the VOI LUT or
the window; MONOCHROME1 is inverted last. Overlays, shutters and annotations aren't drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_plugins.dicom.dataset import damaged, in_one_line, open_dataset
from mura_plugins.dicom.grey_levels import grey_levels
from mura_plugins.dicom.pixels import stored_values
from mura_plugins.errors import PluginError

_WHITE = 65535
_TABLE_SIZE = 1 << 16  # the stored values of an image of 16 bits
_ROWS = 64  # at a time


def read(path: Path, *, window: tuple[float, float] | None = None) -> NDArray[np.uint16]:
    """Return the image of a DICOM file.

    Parameters
    ----------
    path : Path
    window : tuple of float, optional
        Centre and width of a linear window, in the units after the modality LUT. By default the
        file's first VOI LUT, or else its first window, or else the range of the image's values.

    Returns
    -------
    ndarray of shape (H, W), uint16
        Black is 0 and white is 65535. Padding is black.

    Raises
    ------
    PluginError
        The file isn't DICOM, is damaged, has no image, several frames or colours, or is compressed
        in a way that can't be read. The message completes "FILE: ".
    """
    dataset = open_dataset(path)
    try:
        return _mapped(stored_values(dataset), lambda stored: grey_levels(stored, dataset, window))
    except MemoryError:
        raise
    except PluginError as error:
        raise PluginError(in_one_line(str(error))) from None
    # pydicom and the decoders raise many kinds of exceptions for damaged content.
    except Exception as error:
        raise PluginError(damaged(error)) from None


def _mapped(
    values: NDArray[np.integer], levels_of: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.uint16]:
    """Return the grey levels of an image, computed once for each value that occurs in it."""
    lowest = int(values.min())
    if int(values.max()) - lowest >= _TABLE_SIZE:
        stored, places = np.unique(values, return_inverse=True)
        wide = np.rint(levels_of(stored.astype(np.int64)) * _WHITE).astype(np.uint16)
        return wide[places].reshape(values.shape)
    # By blocks of rows, because NumPy takes 8 bytes for an index, and several threads read.
    blocks = [slice(start, start + _ROWS) for start in range(0, len(values), _ROWS)]
    counts = np.zeros(_TABLE_SIZE, np.int64)
    for rows in blocks:
        places = values[rows].astype(np.int64).ravel() - lowest
        counts += np.bincount(places, minlength=_TABLE_SIZE)
    stored = np.flatnonzero(counts)
    table = np.zeros(_TABLE_SIZE, np.uint16)
    table[stored] = np.rint(levels_of(stored + lowest) * _WHITE)
    image = np.empty(values.shape, np.uint16)
    for rows in blocks:
        image[rows] = table[values[rows].astype(np.int64) - lowest]
    return image
