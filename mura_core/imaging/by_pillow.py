"""Read BMP and WebP files by Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import BmpImagePlugin, Image, WebPImagePlugin

from mura_core.errors import ImageFileError
from mura_core.imaging.levels import Chroma, Samples
from mura_core.imaging.limits import refuse_large
from mura_core.imaging.orientation import declared_orientation, upright


def is_bmp(content: bytes) -> bool:
    """Return whether a file starts as a BMP file does."""
    return content.startswith(b"BM")


def is_webp(content: bytes) -> bool:
    """Return whether a file starts as a WebP file does."""
    return content.startswith(b"RIFF") and content[8:12] == b"WEBP"


def read_bmp(content: bytes, max_pixels: int, chroma: Chroma | None = None) -> Samples:
    """Return the pixels of a BMP file as a greyscale image.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_pixels : int
        Larger images are rejected before memory is allocated.
    chroma : Chroma, optional
        Measures the colours.

    Returns
    -------
    ndarray of shape (H, W), uint8

    Raises
    ------
    ImageFileError
        The image is too large.
    Exception
        Whatever Pillow raises for a damaged file.
    """
    # The plugin itself, not Image.open, which warns of large images on the console.
    with BmpImagePlugin.BmpImageFile(io.BytesIO(content)) as image:
        refuse_large(*image.size, max_pixels)
        return _grey(image, chroma)


def read_webp(content: bytes, max_pixels: int, chroma: Chroma | None = None) -> Samples:
    """Return the pixels of a WebP file as a greyscale image, upright.

    Parameters
    ----------
    content, max_pixels
        See `read_bmp`.

    Returns
    -------
    ndarray of shape (H, W), uint8

    Raises
    ------
    ImageFileError
        The file is truncated, too large, or an animation.
    Exception
        Whatever Pillow raises for a damaged file.
    """
    refuse_large(*_webp_size(content), max_pixels)
    with WebPImagePlugin.WebPImageFile(io.BytesIO(content)) as image:
        if image.n_frames > 1:
            raise ImageFileError(f"contains {image.n_frames} images; save each in a separate file")
        orientation = declared_orientation(image.info.get("exif", b""), image.info.get("xmp", b""))
        return upright(_grey(image, chroma), orientation)


def _webp_size(content: bytes) -> tuple[int, int]:
    """Return the width and height that the first chunk declares (RFC 9649)."""
    (size,) = struct.unpack_from("<I", content, 4)
    if size + 8 > len(content) or len(content) < 30:
        raise ImageFileError(f"is truncated: {len(content)} of {size + 8} bytes")
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    else:
        raise ImageFileError("is damaged: it starts with no WebP image")
    return width, height


def _grey(image: Image.Image, chroma: Chroma | None) -> Samples:
    if image.mode not in ("1", "L", "RGB", "RGBA"):
        image = image.convert("RGB")
    if chroma is not None and image.mode in ("RGB", "RGBA"):
        chroma.measure(*np.moveaxis(np.asarray(image)[..., :3], -1, 0))
    return np.asarray(image.convert("L"))
