"""List the directories of TIFF files, of which EXIF metadata are one, too.

tifffile doesn't read directories strictly: it leaves out broken tags, loads the same bytes for
thousands of tags, follows a long circle of directories for ever, and gives tags of microscopes a
meaning of their own. So they are listed here, and tifffile gets the tags that are needed.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mura_core.errors import ImageFileError


@dataclass(frozen=True)
class Layout:
    """How numbers are stored, in terms of the module struct.

    Parameters
    ----------
    count : str
        Number of tags.
    offset : str
        Byte offset.
    entry : str
        Tag, type, number of values, and the values or their byte offset.
    at : int
        Byte offset of the offset of the first directory; an offset has as many bytes.
    """

    count: str
    offset: str
    entry: str
    at: int


# By the first bytes of the file. The last two are BigTIFF.
SIGNATURES = {
    b"II*\0": Layout("<H", "<I", "<HHI4s", 4),
    b"MM\0*": Layout(">H", ">I", ">HHI4s", 4),
    b"II+\0": Layout("<Q", "<Q", "<HHQ8s", 8),
    b"MM\0+": Layout(">Q", ">Q", ">HHQ8s", 8),
}
# Bytes of a value, by type: those of text and integers.
BYTES_OF = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_TEXTS = (1, 2, 7)

Entry = tuple[int, int, int, bytes]


def read_entries(content: bytes) -> list[Entry]:
    """Return the entries of the first directory of a TIFF file.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    list of tuple
        Tag, type, number of values, and the values or their byte offset.

    Raises
    ------
    ImageFileError
        The directory isn't within the file.
    """
    layout = _layout(content)
    start, end, _ = _directory(content, _number(content, layout.offset, layout.at, "header"))
    return list(struct.iter_unpack(layout.entry, content[start:end]))


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
    layout = _layout(content)
    seen: set[int] = set()
    following = _number(content, layout.offset, layout.at, "header")
    while following or not seen:
        if following in seen:
            raise ImageFileError("is damaged: its TIFF directories form a circle")
        seen.add(following)
        _, _, following = _directory(content, following)
    return len(seen)


def only_tags(content: bytes, numbers: Mapping[int, int], texts: Collection[int]) -> bytes:
    """Return a TIFF file of a few tags of the first directory, without strips or tiles.

    Parameters
    ----------
    content : bytes
        The whole file.
    numbers : mapping of int to int
        Tags that hold integers, with the most that each may hold.
    texts : collection of int
        Tags that hold bytes.

    Raises
    ------
    ImageFileError
        One of these tags isn't within the file, or holds something else.
    """
    layout = _layout(content)
    found = {entry[0]: entry for entry in reversed(read_entries(content))}
    kept = [found[tag] for tag in sorted(found.keys() & {*numbers, *texts})]
    entries_at = 2 * layout.at + struct.calcsize(layout.count)
    values_at = entries_at + len(kept) * struct.calcsize(layout.entry) + layout.at
    entries, values = b"", b""
    for tag, kind, count, value in kept:
        size = count * BYTES_OF.get(kind, 0)
        if not size or (kind in _TEXTS) != (tag in texts):
            what = "text" if tag in texts else "integers"
            raise ImageFileError(f"is damaged: its TIFF tag {tag} holds no {what}")
        if tag in numbers and count > numbers[tag]:
            raise ImageFileError(f"is damaged: its TIFF tag {tag} holds {count:,} numbers")
        if size > layout.at:
            (at,) = struct.unpack(layout.offset, value)
            if at + size > len(content):
                raise ImageFileError(f"is damaged or truncated: its TIFF tag {tag} is cut off")
            value = struct.pack(layout.offset, values_at + len(values))
            values += content[at : at + size]
        entries += struct.pack(layout.entry, tag, kind, count, value)
    first, following = (struct.pack(layout.offset, at) for at in (2 * layout.at, 0))
    length = struct.pack(layout.count, len(kept))
    return content[: layout.at] + first + length + entries + following + values


def _directory(content: bytes, at: int) -> tuple[int, int, int]:
    """Return the byte offsets of the entries, of their end, and of the next directory or 0."""
    layout = _layout(content)
    count = _number(content, layout.count, at, "directory")
    start = at + struct.calcsize(layout.count)
    end = start + count * struct.calcsize(layout.entry)
    if end > len(content):
        raise ImageFileError(f"is damaged or truncated: its directory of {count} tags is cut off")
    return start, end, _number(content, layout.offset, end, "end")


def _layout(content: bytes) -> Layout:
    try:
        return SIGNATURES[content[:4]]
    except KeyError:
        raise ImageFileError("is damaged: it has no TIFF header") from None


def _number(content: bytes, layout: str, at: int, part: str) -> int:
    try:
        (number,) = struct.unpack_from(layout, content, at)
    except (struct.error, OverflowError):
        raise ImageFileError(f"is damaged or truncated: its TIFF {part} is cut off") from None
    return int(number)
