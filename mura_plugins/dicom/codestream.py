"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, known before decompression."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_JPEG_2000 = b"\xff\x4f\xff\x51"  # ITU-T T.800, A.4 and A.5: SOC, followed by SIZ
_JPEG = b"\xff\xd8"
# Frame headers: ITU-T T.81, table B.1, and T.87, C.1.1.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_SCAN = 0xDA
_SEQUENTIAL_SCAN = bytes((0, 63, 0))  # T.81, table B.3
_END = b"\xff\xd9"
_MOST_PADDING = 8  # bytes after the end; the standard allows one
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def is_whole(frame: bytes) -> bool:
    """Return whether a compressed frame ends with its end marker.

    The decoders return an image for some codestreams that are cut off.

    Parameters
    ----------
    frame : bytes
    """
    return _END in frame[-len(_END) - _MOST_PADDING :]


def size_of(frame: bytes) -> tuple[int, int] | None:
    """Return the declared height and width, or None if no codestream is recognised.

    Parameters
    ----------
    frame : bytes
        A compressed frame.
    """
    start = frame.find(_JPEG_2000, 0, 4096)
    if start >= 0 and len(frame) >= start + 24:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return bottom - top, right - left
    return _size_of_jpeg(frame)


def with_valid_scan(frame: bytes) -> bytes:
    """Return a sequential JPEG codestream whose scan has the only parameters that it can have.

    Some encoders write others, and the decoders then refuse the image.

    Parameters
    ----------
    frame : bytes
        A compressed frame; any other than of sequential JPEG is returned as it is.
    """
    sequential = False
    for marker, place in _segments(frame):
        sequential |= marker in _SEQUENTIAL
        if marker == _SCAN and sequential:
            start = place + 5 + 2 * frame[place + 4]  # after the components
            return frame[:start] + _SEQUENTIAL_SCAN + frame[start + len(_SEQUENTIAL_SCAN) :]
    return frame


def _size_of_jpeg(frame: bytes) -> tuple[int, int] | None:
    for marker, place in _segments(frame):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">2H", frame, place + 5)
            return height, width
    return None


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG codestream with their places, up to the first scan."""
    place = len(_JPEG)
    while place + 9 <= len(frame) and frame.startswith(_JPEG) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            yield marker, place
            if marker == _SCAN:
                return
            place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
