"""What other chunks of a PNG file than its image data say of its pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mura_core.imaging.levels import Samples
from mura_core.imaging.orientation import declared_orientation
from mura_core.imaging.png.pure_chunks import SIGNATURE

_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")  # as ImageMagick writes EXIF
_XMP = b"XML:com.adobe.xmp"
_MOST_TEXT = 1 << 20  # bytes of a decompressed text


@dataclass(frozen=True)
class Metadata:
    """What affects the pixels of a PNG file.

    Parameters
    ----------
    palette : bytes
        Red, green and blue of each colour; empty if there is no palette.
    significant_bits : tuple of int
        Original bit depth of each channel (sBIT); empty if it isn't given.
    orientation : int
        As in EXIF, 1 to 8.
    images : int
        Number of images; more than 1 in an animation.
    """

    palette: bytes = b""
    significant_bits: tuple[int, ...] = ()
    orientation: int = 1
    images: int = 1


NOTHING = Metadata()


def read_metadata(content: bytes) -> Metadata:
    """Return what the chunks of a valid PNG file say of its pixels.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    Metadata
    """
    palette, bits, images = b"", b"", 1
    exif, xmp = b"", b""
    for kind, body in _chunks(content):
        if kind == b"PLTE":
            palette = body
        elif kind == b"sBIT":
            bits = body
        elif kind == b"eXIf":
            exif = body
        elif kind == b"acTL" and len(body) >= 4:
            (images,) = struct.unpack_from(">I", body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = body.partition(b"\0")
            if keyword == _XMP:
                xmp = _text(kind, rest)
            elif keyword in _PROFILES:
                exif = exif or _profile(_text(kind, rest))
    return Metadata(palette, tuple(bits), declared_orientation(exif, xmp), images)


def declared_depth(samples: Samples, depth: int, significant_bits: tuple[int, ...]) -> int:
    """Return the bit depth that sBIT declares, or 0 if samples already span the file's depth.

    The specification (section 11.3.2.7) wants samples scaled to the file's depth, and then sBIT has
    no effect. But some software stores them as they were, such as 0 to 4095 with an sBIT of 12:
    then no sample is larger, and they aren't multiples that scaling would give.

    Parameters
    ----------
    samples : ndarray of shape (H, W, channels)
        All samples.
    depth : {1, 2, 4, 8, 16}
        Bit depth of the file.
    significant_bits : tuple of int
        The bytes of the chunk sBIT.

    Returns
    -------
    int
    """
    original = max(significant_bits[: samples.shape[2]], default=depth)
    if not 0 < original < depth or samples.max() >= 1 << original:
        return 0
    highest, full = 2**original - 1, 2**depth - 1
    levels = np.arange(2**original, dtype=np.uint32)
    is_scaled = np.zeros(2**depth, bool)
    is_scaled[levels << (depth - original)] = True
    is_scaled[(levels * full + highest // 2) // highest] = True
    return 0 if is_scaled[samples].all() else original


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        yield kind, b"" if kind == b"IDAT" else content[at + 8 : at + 8 + length]
        at += 12 + length


def _text(kind: bytes, rest: bytes) -> bytes:
    """Return a text chunk's text from what follows its keyword; damaged text is no text."""
    if kind == b"tEXt":
        return rest
    is_compressed, text = True, rest[1:]
    if kind == b"iTXt":
        is_compressed = rest[:1] == b"\1"
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if not is_compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MOST_TEXT)
    except zlib.error:
        return b""


def _profile(text: bytes) -> bytes:
    """Return the bytes of a profile written as its name, its length and hexadecimal digits."""
    digits = b"".join(text.split()[2:])
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""
