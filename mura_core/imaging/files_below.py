"""Find the image files below folders, and name every file that is left out, with the reason."""

from __future__ import annotations

import heapq
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mura_core.errors import DataError
from mura_core.imaging.by_pillow import is_bmp, is_webp
from mura_core.imaging.contents import reason_broken_link
from mura_core.imaging.jpeg import SIGNATURE as JPEG_SIGNATURE
from mura_core.imaging.png.extensions import chunks
from mura_core.imaging.radiograph import NO_READERS, SUFFIXES, Readers
from mura_core.imaging.tiff_directory import SIGNATURES as TIFF_SIGNATURES

LITTER = "is hidden, or a file of an operating system"
ALREADY_READ = "is already read under another path"
_ABOVE = "leads to a folder that contains it"
_MISSING = "leads to a missing file"
_SPECIAL = "is a pipe, a socket or a device"
_NO_IMAGE = "has no suffix and not the content of an image"

# Written by macOS, Windows, Synology, QNAP and other file servers. Compared in lower case.
_LITTER = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "@recycle", "#recycle",
        "$recycle.bin", "recycler", "system volume information", "lost+found", "icon\r",
    }
)  # fmt: skip

# A suffix in lower case, or a signature: an offset and the bytes there.
Kind: TypeAlias = str | tuple[int, bytes]

# First bytes of the formats that `read_radiograph` reads itself, but for BMP and WebP.
_SIGNATURES = (chunks.SIGNATURE, JPEG_SIGNATURE, *TIFF_SIGNATURES)
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, order=True)
class LeftOut:
    """A file or folder that is not read.

    Attributes
    ----------
    path : Path
        The file, or the folder that can't be opened or isn't read again.
    reason : str
        Why it is left out; the same words for all files of a kind.
    is_lost : bool
        Whether a radiograph may be lost: behind a link or in a folder that can't be opened.
    """

    path: Path
    reason: str
    is_lost: bool = False


@dataclass(frozen=True)
class FilesBelow:
    """All files below some folders.

    Attributes
    ----------
    images : list of Path
        The image files, sorted.
    left_out : list of LeftOut
        All other files, and the folders that aren't read, sorted by path.
    """

    images: list[Path]
    left_out: list[LeftOut]


def files_below(folder: Path, kinds: Collection[Kind] = SUFFIXES) -> FilesBelow:
    """Return the image files below a folder, and every other file with the reason it is left out.

    Links to folders are followed, but no folder is read twice: not under a second path, and not
    through a link to a folder above it. Of several paths, the one without links is used, or else
    the first. A file without a suffix, or with a number for one, is an image if it starts like a
    PNG, JPEG, BMP, TIFF or WebP file. Hidden files and those of `is_litter` are never images. Files
    with the suffix of an image aren't opened.

    Parameters
    ----------
    folder : Path
        The folder.
    kinds : collection of str or (int, bytes)
        Suffixes of image files, in lower case, such as ".png", and signatures, each an offset and
        the bytes there, by which files with none of these suffixes are images.

    Returns
    -------
    FilesBelow
        Paths start with `folder`. Every file below it is either in `images` or in `left_out`.

    Raises
    ------
    DataError
        The folder can't be opened.
    """
    walk = _Walk(folder, kinds)
    return FilesBelow(sorted(walk.images), sorted(walk.left_out))


def image_files(sources: Iterable[Path], readers: Readers = NO_READERS) -> FilesBelow:
    """Return the given files, and all files below the given folders.

    Parameters
    ----------
    sources : iterable of Path
        Image files, whatever their suffixes, and folders that are searched recursively.
    readers : mapping, optional
        Functions that read further file formats, by suffix or signature. Their files are images,
        too.

    Returns
    -------
    FilesBelow
        Each file once, although several sources may contain it.

    Raises
    ------
    DataError
        There are no image files, or a folder can't be opened.
    """
    kinds = {*SUFFIXES, *readers}
    images: set[Path] = set()
    left_out: set[LeftOut] = set()
    for source in sources:
        if source.is_dir():
            below = files_below(source, kinds)
            images.update(below.images)
            left_out.update(below.left_out)
        else:
            images.add(source)
    if not images:
        suffixes = sorted(kind for kind in kinds if isinstance(kind, str))
        raise DataError(f"no image files found; supported are {', '.join(suffixes)}")
    return FilesBelow(sorted(images), sorted(f for f in left_out if f.path not in images))


def is_litter(name: str) -> bool:
    """Return whether a file or folder is hidden, or was put there by an operating system.

    Parameters
    ----------
    name : str
        Name of the file or folder, such as "._image1.png", "__MACOSX" or "Thumbs.db".
    """
    return name.startswith(".") or name.lower() in _LITTER


class _Walk:
    """Files found so far below a folder, and the folders still to be read."""

    def __init__(self, folder: Path, kinds: Collection[Kind]) -> None:
        self.images: list[Path] = []
        self.left_out: list[LeftOut] = []
        self._suffixes = {kind for kind in kinds if isinstance(kind, str)}
        self._signatures = [kind for kind in kinds if not isinstance(kind, str)]
        self._folders = [(str(folder), False)]  # with whether they are litter
        self._links: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        try:
            os.scandir(folder).close()
            self._above = {_identity(str(above)) for above in folder.resolve().parents}
        except OSError as error:
            raise DataError(f"{folder}: can't be opened ({error.strerror})") from None
        # Folders come before links, so that of two paths the one without links is read.
        while self._folders or self._links:
            if self._folders:
                path, litter = self._folders.pop()
            else:
                path, litter = heapq.heappop(self._links), False
            try:
                self._read_folder(path, litter=litter)
            except OSError as error:
                reason = f"can't be opened ({error.strerror})"
                self._leave_out(path, reason, is_lost=not litter)

    def _read_folder(self, path: str, *, litter: bool) -> None:
        # A link into a hidden folder is followed, so being listed as litter doesn't count as read.
        identity = None if litter else _identity(path)
        if identity in self._above:
            self._leave_out(path, _ABOVE)
        elif identity in self._seen:
            self._leave_out(path, ALREADY_READ)
        else:
            with os.scandir(path) as entries:
                listed = list(entries)
            if identity is not None:
                self._seen.add(identity)
            for entry in listed:
                self._sort_in(entry, litter=litter or is_litter(entry.name))

    def _sort_in(self, entry: os.DirEntry[str], *, litter: bool) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._folders.append((entry.path, litter))
        elif litter:
            self._leave_out(entry.path, LITTER)
        elif entry.is_symlink() and _is_folder(entry.path):
            heapq.heappush(self._links, entry.path)
        else:
            self._sort_in_file(entry)

    def _sort_in_file(self, entry: os.DirEntry[str]) -> None:
        suffix = _suffix(entry.name)
        may_be_image = not suffix or suffix in self._suffixes
        try:
            is_file = entry.is_file()
            if not is_file and entry.is_symlink() and not Path(entry.path).exists():
                annexed = reason_broken_link(str(Path(entry.path).readlink()))
                self._leave_out(entry.path, annexed or _MISSING, is_lost=may_be_image)
            elif not is_file:
                self._leave_out(entry.path, _SPECIAL)
            elif suffix in self._suffixes or self._is_image(entry.path, suffix):
                self.images.append(Path(entry.path))
            elif suffix:
                self._leave_out(entry.path, f"is not a supported image format ({suffix})")
            else:
                self._leave_out(entry.path, _NO_IMAGE)
        except OSError as error:  # a link to itself, or a file without a suffix that can't be read
            self._leave_out(entry.path, f"can't be read ({error.strerror})", is_lost=may_be_image)

    def _is_image(self, path: str, suffix: str) -> bool:
        """Return whether a file with none of the suffixes starts like an image."""
        if suffix and not self._signatures:
            return False
        sizes = (offset + len(magic) for offset, magic in self._signatures)
        start = _start(path, max(_SIGNATURE_BYTES, *sizes, 0))
        if not suffix and _is_of_a_known_format(start):
            return True
        return any(start.startswith(magic, offset) for offset, magic in self._signatures)

    def _leave_out(self, path: str, reason: str, *, is_lost: bool = False) -> None:
        self.left_out.append(LeftOut(Path(path), reason, is_lost))


def _suffix(name: str) -> str:
    # The names of DICOM files are often numbers with full stops between them: not a suffix.
    # A Path would take longer than all else that is done with a file.
    stem, dot, ending = name.lower().rpartition(".")
    return "" if not stem or not ending or ending.isdecimal() else dot + ending


def _start(path: str, size: int) -> bytes:
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def _is_of_a_known_format(start: bytes) -> bool:
    # The two letters of BMP are a word's, too. The reserved bytes are always 0.
    is_likely_bmp = is_bmp(start) and start[6:10] == bytes(4)
    return is_webp(start) or is_likely_bmp or start.startswith(_SIGNATURES)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - a Path costs more
    return status.st_dev, status.st_ino


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # a link to itself
        return False
