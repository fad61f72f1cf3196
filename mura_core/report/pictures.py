"""Embed pictures in a page, so that the page can be sent as one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from mura_core.cores import usable_cores

MOST_BYTES = 15_000_000  # of all pictures of a page; 20 MB as text
_QUALITY = 85
_AT_ONCE = 32  # pictures that are read before their bytes are counted


def embedded(folder: Path, pictures: Mapping[str, int]) -> dict[str, str]:
    """Return pictures as JPEG data URLs, in their order, up to `MOST_BYTES` in all.

    Parameters
    ----------
    folder : Path
        The folder that the paths are relative to.
    pictures : mapping of str to int
        Longest side in pixels by path of the picture; larger pictures are made smaller.

    Returns
    -------
    dict of str to str
        Data URL by path. Pictures that can't be read are left out, and so are all that follow the
        first that doesn't fit.
    """
    found: dict[str, str] = {}
    left = MOST_BYTES
    paths = list(pictures)
    with ThreadPoolExecutor(usable_cores()) as threads:  # Pillow works without the GIL.
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            files = threads.map(lambda path: _jpeg(folder / path, pictures[path]), some)
            for path, content in zip(some, files, strict=True):
                left -= len(content or b"")
                if left < 0:
                    return found
                if content:
                    found[path] = data_url("image/jpeg", content)
    return found


def data_url(kind: str, content: bytes) -> str:
    """Return the content of a file as a data URL.

    Parameters
    ----------
    kind : str
        Media type, such as `image/png`.
    content : bytes
        Content of the file.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def colour_bar_url(style: str, *, signed: bool) -> str:
    """Return the colour bar of a heatmap style as a PNG data URL.

    Parameters
    ----------
    style : str
        Style of the heatmaps.
    signed : bool
        Whether the maps have evidence against 'abnormal', too.
    """
    from mura_core.heatmaps import colour_bar

    file = io.BytesIO()
    Image.fromarray(colour_bar(style, signed=signed)).save(file, format="PNG")
    return data_url("image/png", file.getvalue())


def _jpeg(path: Path, longest: int) -> bytes | None:
    """Return a picture as a JPEG file, or None if it can't be read."""
    file = io.BytesIO()
    try:
        with Image.open(path) as image:
            shown = image if image.mode in ("L", "RGB") else image.convert("RGB")
            # A gap of 2 halves large pictures quickly before they are resampled.
            shown.thumbnail((longest, longest), reducing_gap=2.0)
            shown.save(file, format="JPEG", quality=_QUALITY)
    # Pillow raises a SyntaxError for some damaged PNG files.
    except (OSError, SyntaxError, ValueError):
        return None
    return file.getvalue()
