"""Strict JPEG reader: what libjpeg-turbo would only warn of is refused.

Pillow fills what is missing from a damaged file with grey. TurboJPEG, used by simplejpeg, reports
libjpeg's warnings, so that such files can be refused.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import product

import simplejpeg

from mura_core.errors import ImageFileError, in_one_line
from mura_core.imaging.levels import Chroma, Samples, luma, luma_of_inks
from mura_core.imaging.limits import refuse_large
from mura_core.imaging.orientation import declared_orientation, upright

SIGNATURE = b"\xff\xd8\xff"
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_START_OF_SCAN, _END = 0xDA, 0xD9
_END_MARKER = b"\xff\xd9"
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that start a frame
_SEQUENTIAL = frozenset([0xC0, 0xC1, 0xC9])
_SEQUENTIAL_PARAMETERS = b"\0\x3f\0"  # all coefficients, with all bits
_PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_STANDALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a segment
_MARKER = re.compile(rb"\xff[^\x00\xff]")  # after any number of fill bytes 0xff
# Within a scan, 0xff is followed by 0, by a restart marker, or by another fill byte 0xff.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


@dataclass(frozen=True)
class _Header:
    height: int
    width: int
    components: bytes  # their identifiers
    kind: int  # marker of the frame
    orientation: int
    scans_at: int  # byte offset of the first scan


@dataclass(frozen=True)
class _Scan:
    components: bytes
    coefficients: range
    low_bits: int  # that are left to later scans
    parameters_at: int


def read_jpeg(content: bytes, max_pixels: int, chroma: Chroma | None = None) -> Samples:
    """Return the pixels of a JPEG file as a greyscale image.

    Only the first image is read: phones append others to it (MPO), and some software appends other
    data.

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
        The file is damaged, truncated or too large.
    """
    header = _header(content)
    refuse_large(header.width, header.height, max_pixels)
    pixels = decoded(_whole(content, header), len(header.components), chroma=chroma)
    return upright(pixels, header.orientation)


def decoded(
    content: bytes,
    components: int,
    *,
    inverted_inks: bool = True,
    chroma: Chroma | None = None,
) -> Samples:
    """Return the luma of a JPEG stream, as stored.

    Parameters
    ----------
    content : bytes
        The stream.
    components : {1, 3, 4}
        Number of colour channels: grey, colour or CMYK.
    inverted_inks : bool
        Whether CMYK is inverted, as Adobe stores it in JPEG files.
    chroma : Chroma, optional
        Measures the colours.

    Returns
    -------
    ndarray of shape (H, W), uint8

    Raises
    ------
    ImageFileError
        The stream is damaged or truncated.
    """
    if components not in _SPACES:
        raise ImageFileError(f"is damaged: a JPEG image has no {components} colour channels")
    try:
        pixels = _strictly(content, _SPACES[components])
    except ValueError as error:
        if "subsampling" in str(error):
            raise ImageFileError(
                "is damaged or truncated, or its colours are subsampled in an unusual way; then"
                " save it as PNG"
            ) from None
        raise ImageFileError(f"is damaged or truncated ({in_one_line(error)})") from None
    if components == 1:
        return pixels[..., 0]
    if components == 3:
        return luma(pixels, chroma)
    return luma_of_inks(255 - pixels if inverted_inks else pixels)


def _strictly(content: bytes, space: str) -> Samples:
    try:
        return simplejpeg.decode_jpeg(content, space)
    except ValueError as error:
        # Some cameras and scanners pad the data with zeros. Other data may end in zeros, too.
        padded = content.removesuffix(_END_MARKER).rstrip(b"\0")
        if "extraneous bytes before marker 0xd9" not in str(error):
            raise
        return simplejpeg.decode_jpeg(padded + b"\0" + _END_MARKER, space)


def _whole(content: bytes, header: _Header) -> bytes:
    """Return the first image of a file, without what is odd but harmless; refuse missing scans."""
    scans, end = _scans(content, header.scans_at)
    is_sequential = header.kind in _SEQUENTIAL
    sent = {
        (component, coefficient)
        for scan in scans
        if scan.low_bits == 0 or is_sequential
        for component in scan.components
        for coefficient in (range(64) if is_sequential else scan.coefficients)
    }
    is_known = is_sequential or header.kind in _PROGRESSIVE
    if is_known and not sent.issuperset(product(header.components, range(64))):
        raise ImageFileError("is damaged or truncated: not all scans of the image are there")
    data = content[:end]
    # These parameters have one value only, but some phones write another.
    for scan in scans if is_sequential else ():
        at = scan.parameters_at
        if data[at : at + 3] != _SEQUENTIAL_PARAMETERS:
            data = data[:at] + _SEQUENTIAL_PARAMETERS + data[at + 3 :]
    return data + _END_MARKER


def _header(content: bytes) -> _Header:
    at, frame, frame_kind, exif, xmp = 2, b"", 0, b"", b""
    while True:
        start = at
        kind, body, at = _segment(content, at)
        if kind in _SIZES:
            if len(body) < 6:
                raise ImageFileError("is damaged: its frame header is cut off")
            frame, frame_kind = body, kind
        elif kind == 0xE1 and body.startswith(_EXIF):
            exif = exif or body
        elif kind == 0xE1 and body.startswith(_XMP):
            xmp = xmp or body
        elif kind in (_START_OF_SCAN, _END):
            break
    if not frame:
        raise ImageFileError("is damaged: it has no image")
    precision, height, width, count = struct.unpack_from(">BHHB", frame)
    if precision != 8:
        raise ImageFileError(f"has {precision}-bit JPEG data; save it as 16-bit PNG")
    components = frame[6 : 6 + 3 * count : 3]
    orientation = declared_orientation(exif, xmp)
    return _Header(height, width, components, frame_kind, orientation, start)


def _scans(content: bytes, at: int) -> tuple[list[_Scan], int]:
    """Return the scans from a byte offset on, and the offset of the end of the image."""
    scans: list[_Scan] = []
    while True:
        start = at
        kind, body, at = _segment(content, at)
        if kind == _END:
            return scans, content.rindex(b"\xff", start, at)
        if kind != _START_OF_SCAN:
            continue
        count = body[0] if body else 0
        if len(body) < 4 + 2 * count:
            raise ImageFileError("is damaged: the header of a scan is cut off")
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        parameters_at = at - len(body) + 1 + 2 * count
        components = body[1 : 1 + 2 * count : 2]
        scans.append(_Scan(components, range(first, min(last, 63) + 1), bits & 15, parameters_at))
        marker = _AFTER_SCAN.search(content, at)
        if marker is None:
            raise ImageFileError("is truncated: its image data don't end")
        at = marker.start()


def _segment(content: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the kind and the body of the segment at a byte offset, and the offset after it."""
    marker = _MARKER.search(content, at)
    if marker is None:
        raise ImageFileError("is truncated: it ends within a header")
    at, kind = marker.start(), content[marker.start() + 1]
    if kind in _STANDALONE or kind == _END:
        return kind, b"", at + 2
    if at + 4 > len(content):
        raise ImageFileError("is truncated: it ends within a header")
    (length,) = struct.unpack_from(">H", content, at + 2)
    return kind, content[at + 4 : at + 2 + length], at + 2 + max(length, 2)
