"""Read the tags of a TIFF directory, of which EXIF metadata are one, too."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from mura_core.errors import ImageFileError

# By the first bytes of the file: byte order, and whether offsets have 64 bits (BigTIFF).
SIGNATURES = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
# Types of integers and of bytes; rationals and floats are of no use here.
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_BYTES = (2, 7)
_BYTE, _FEW = 1, 64  # more than a few numbers of this type are a text, such as XMP
_MANY = 1_000_000


@dataclass(frozen=True)
class Directory:
    """Tags of a TIFF directory.

    Parameters
    ----------
    byte_order : {"<", ">"}
    numbers : mapping
        Values of the tags that hold integers.
    texts : mapping
        Values of the tags that hold bytes or text.
    following : int
        Byte offset of the next directory; 0 if there is none.
    """

    byte_order: str
    numbers: dict[int, tuple[int, ...]]
    texts: dict[int, bytes]
    following: int


def read_directory(content: bytes, tags: Collection[int], at: int | None = None) -> Directory:
    """Return some tags of a directory of a TIFF file.

    Parameters
    ----------
    content : bytes
        The whole file.
    tags : collection of int
        The tags to read. Others aren't looked at.
    at : int, optional
        Byte offset of the directory; the first one by default.

    Returns
    -------
    Directory

    Raises
    ------
    ImageFileError
        The directory or one of these tags isn't within the file, or isn't of integers or bytes.
    """
    order, is_big = SIGNATURES.get(content[:4], ("", False))
    if not order:
        raise ImageFileError("is damaged: it has no TIFF header")
    count_type, offset_type, entry_bytes = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    if at is None:
        (at,) = _unpacked(content, f"{order}{offset_type}", 8 if is_big else 4, "header")
    (count,) = _unpacked(content, f"{order}{count_type}", at, "directory")
    at += struct.calcsize(count_type)
    if count * entry_bytes > len(content) - at:
        raise ImageFileError(f"is damaged or truncated: its directory of {count} tags is cut off")
    numbers: dict[int, tuple[int, ...]] = {}
    texts: dict[int, bytes] = {}
    for entry in range(at, at + count * entry_bytes, entry_bytes):
        tag, kind, length = struct.unpack_from(f"{order}HH{offset_type}", content, entry)
        if tag not in tags or tag in numbers or tag in texts:
            continue
        letter = "B" if kind in _BYTES else _INTEGERS.get(kind)
        if letter is None:
            raise ImageFileError(f"is damaged: its TIFF tag {tag} holds no integers")
        where = entry + 4 + struct.calcsize(offset_type)
        if length * struct.calcsize(letter) > struct.calcsize(offset_type):
            (where,) = struct.unpack_from(f"{order}{offset_type}", content, where)
        if length * struct.calcsize(letter) > len(content) - where:
            raise ImageFileError(f"is damaged or truncated: its TIFF tag {tag} is cut off")
        if kind in _BYTES or (kind == _BYTE and length > _FEW):
            texts[tag] = content[where : where + length]
        elif length > _MANY:
            raise ImageFileError(f"is damaged: its TIFF tag {tag} holds {length:,} numbers")
        else:
            numbers[tag] = struct.unpack_from(f"{order}{length}{letter}", content, where)
    (following,) = _unpacked(content, f"{order}{offset_type}", at + count * entry_bytes, "end")
    return Directory(order, numbers, texts, following)


def count_directories(content: bytes) -> int:
    """Return the number of directories of a TIFF file, each of which describes an image.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    ImageFileError
        A directory isn't within the file, or occurs again.
    """
    seen: set[int] = set()
    following = read_directory(content, ()).following
    while following:
        if following in seen:
            raise ImageFileError("is damaged: its TIFF directories form a circle")
        seen.add(following)
        following = read_directory(content, (), following).following
    return 1 + len(seen)


def _unpacked(content: bytes, layout: str, at: int, part: str) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, content, at)
    except struct.error:
        raise ImageFileError(f"is damaged or truncated: its TIFF {part} is cut off") from None
