"""How large an image may be: at most 300 MB are needed to read and resize any file."""

from __future__ import annotations

# The largest detectors have 25 million pixels, and stitched images of a leg 12,000 rows.
MAX_PIXELS = 60_000_000
MAX_SIDE = 30_000


def reason_too_large(width: int, height: int, max_pixels: int = MAX_PIXELS) -> str | None:
    """Return why an image is too large to be read, or None.

    Parameters
    ----------
    width, height : int
        As the file declares them.
    max_pixels : int
        The largest number of pixels.

    Returns
    -------
    str or None
        A clause that follows the name of the file.
    """
    if max(width, height) > MAX_SIDE:
        return f"has {width} x {height} pixels; the limit is {MAX_SIDE:,} pixels per side"
    if width * height > max_pixels:
        return f"has {width} x {height} pixels; the limit is {max_pixels:,} pixels"
    return None
