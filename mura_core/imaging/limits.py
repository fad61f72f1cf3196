"""How large an image may be: at most 300 MB are needed to read and resize any file."""

from __future__ import annotations

from mura_core.errors import ImageFileError

# The largest detectors have 25 million pixels, and stitched images of a leg 12,000 rows.
MAX_PIXELS = 60_000_000
MAX_SIDE = 30_000


def refuse_large(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise an error if an image is too large to be read.

    Parameters
    ----------
    width, height : int
        As the file declares them.
    max_pixels : int
        The largest number of pixels.

    Raises
    ------
    ImageFileError
        A side or the number of pixels is above its limit.
    """
    if max(width, height) > MAX_SIDE:
        limit = f"{MAX_SIDE:,} pixels per side"
    elif width * height > max_pixels:
        limit = f"{max_pixels:,} pixels"
    else:
        return
    raise ImageFileError(f"has {width} x {height} pixels; the limit is {limit}")
