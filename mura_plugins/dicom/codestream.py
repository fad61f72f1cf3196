"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, known before decompression."""

from __future__ import annotations

import struct

_JPEG_2000 = b"\xff\x4f\xff\x51"  # ITU-T T.800, A.4 and A.5: SOC, followed by SIZ
_JPEG = b"\xff\xd8"
# Frame headers: ITU-T T.81, table B.1, and T.87, C.1.1.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
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
    if frame.startswith(_JPEG):
        return _size_of_jpeg(frame)
    return None


def _size_of_jpeg(frame: bytes) -> tuple[int, int] | None:
    place = len(_JPEG)
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">2H", frame, place + 5)
            return height, width
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None
