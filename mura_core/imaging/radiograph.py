"""Read image files as greyscale images."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import (
    ImageFileError,
    MuraError,
    PngError,
    RadiographError,
    UsageError,
    in_one_line,
)
from mura_core.imaging.by_pillow import is_bmp, is_webp, read_bmp, read_webp
from mura_core.imaging.contents import reason_broken_link, reason_no_image
from mura_core.imaging.jpeg import SIGNATURE as JPEG_SIGNATURE
from mura_core.imaging.jpeg import read_jpeg
from mura_core.imaging.levels import Chroma
from mura_core.imaging.limits import MAX_PIXELS
from mura_core.imaging.png.extensions import chunks
from mura_core.imaging.png.reader import read_png
from mura_core.imaging.tiff import read_tiff
from mura_core.imaging.tiff_directory import SIGNATURES as TIFF_SIGNATURES
from mura_plugins.guard import in_words, is_from_user

GreyImage: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
# Plugins' functions that read further file formats, by suffix, such as ".dcm", and by signature: an
# offset and the bytes there, such as (128, b"DICM").
Read: TypeAlias = Callable[[Path], GreyImage]
Readers: TypeAlias = Mapping[str | tuple[int, bytes], Read]

NO_READERS: Readers = MappingProxyType({})

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_FORMATS = "PNG, JPEG, BMP, TIFF, WEBP"
_BINARY, _NONBLOCK = getattr(os, "O_BINARY", 0), getattr(os, "O_NONBLOCK", 0)  # of some systems


def read_radiograph(
    source: str | Path | bytes,
    name: str | None = None,
    readers: Readers = NO_READERS,
    bit_depth: int = 16,
    chroma: Chroma | None = None,
) -> GreyImage:
    """Return an image file's pixels as a greyscale image at the original size and bit depth.

    Colour is converted to Rec. 601 luma (Pillow's weights), palettes and EXIF orientation are
    applied, and alpha is dropped. An image of up to 8 bits spans 0 to 255, any other 0 to 65535.

    Parameters
    ----------
    source : str, Path or bytes
        Path or content of a PNG, JPEG, BMP, TIFF or WebP file.
    name : str, optional
        Name of the file in error messages; by default its path.
    readers : mapping, optional
        Functions that read further file formats, by suffix and by signature.
    bit_depth : int
        Bit depth, from 8 to 16, of 16-bit files that don't declare it. With 12, their levels 0 to
        4095 become 0 to 65535.
    chroma : Chroma, optional
        Measures how colourful the image is.

    Returns
    -------
    ndarray of shape (H, W), uint8 or uint16

    Raises
    ------
    RadiographError
        The file is missing, empty, truncated, damaged, too large or of an unsupported format.
    """
    if name is None:
        name = "image" if isinstance(source, bytes) else str(source)
    with only_of_this_image(name):
        return _read(source, readers, bit_depth, chroma)


@contextmanager
def only_of_this_image(name: str) -> Iterator[None]:
    """Turn whatever goes wrong in the block into the error of one image, so others are still read.

    Parameters
    ----------
    name : str
        Path or name of the image.

    Raises
    ------
    RadiographError
        Anything else than a UsageError was raised, which is about a setting of the whole run, such
        as MURA_INSTRUCTIONS.
    """
    try:
        yield
    except (RadiographError, UsageError):
        raise
    except ImageFileError as error:
        raise RadiographError(name, str(error)) from None
    except PngError as error:
        raise RadiographError(name, f"is damaged: {error}") from None
    except MemoryError:
        raise RadiographError(name, "needs more memory than is available") from None
    except Exception as error:
        # Decoders raise anything for damaged content.
        raise RadiographError(name, f"can't be read ({in_one_line(error)})") from error


def reader_of(path: Path, readers: Readers) -> Read | None:
    """Return the plugin's function that reads a file, or None if there is none.

    Parameters
    ----------
    path : Path
        The file. Only if no format has its suffix, its first bytes are read.
    readers : mapping
        Functions by suffix and by signature.
    """
    suffix = path.suffix.lower()
    if suffix in readers or suffix in SUFFIXES:
        return readers.get(suffix)
    length = max(
        (kind[0] + len(kind[1]) for kind in readers if not isinstance(kind, str)), default=0
    )
    if not length or not path.is_file():  # a pipe would wait for another program
        return None
    try:
        with path.open("rb") as file:
            return _reader_by_signature(file.read(length), readers)
    except OSError:  # reading the file reports it
        return None


def _reader_by_signature(content: bytes, readers: Readers) -> Read | None:
    for kind, read in readers.items():
        if not isinstance(kind, str) and content.startswith(kind[1], kind[0]):
            return read
    return None


def _read(
    source: str | Path | bytes, readers: Readers, bit_depth: int, chroma: Chroma | None
) -> GreyImage:
    path = None
    if not isinstance(source, bytes):
        path = Path(source)
        reader = reader_of(path, readers) if readers else None
        if reader is not None:
            return _read_by_plugin(reader, path)
        source = _content(path)
    if not source:
        raise ImageFileError("is empty (0 bytes)")
    if source.startswith(chunks.SIGNATURE):
        return read_png(source, MAX_PIXELS, bit_depth, chroma)
    if source.startswith(JPEG_SIGNATURE):
        return read_jpeg(source, MAX_PIXELS, chroma)
    if source[:4] in TIFF_SIGNATURES:
        return read_tiff(source, MAX_PIXELS, bit_depth, chroma)
    try:
        if is_bmp(source):
            return read_bmp(source, MAX_PIXELS, chroma)
        if is_webp(source):
            return read_webp(source, MAX_PIXELS, chroma)
    except ImageFileError:
        raise
    # Pillow raises any of these for damaged content.
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error) as error:
        raise ImageFileError(f"is damaged or truncated ({in_one_line(error)})") from None
    reader = _reader_by_signature(source, readers)
    if path is not None and reader is not None:
        return _read_by_plugin(reader, path)  # under the name of another format
    known = reason_no_image(source, reads_dicom=reader is not None)
    raise ImageFileError(known or f"is not an image of a supported format ({_FORMATS})")


def _read_by_plugin(reader: Read, path: Path) -> GreyImage:
    try:
        if path.exists():  # otherwise the reader says what is missing
            _refuse_special(path.stat().st_mode)
        image = reader(path)
    except MemoryError:
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        if is_from_user(error):
            raise
        reason = in_words(error)
        is_ours = isinstance(error, MuraError)
        raise ImageFileError(reason if is_ours else f"can't be read ({reason})") from error
    if not isinstance(image, np.ndarray):
        raise ImageFileError(f"its reader returned a {type(image).__name__}, not an array")
    if image.ndim != 2 or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(
            f"its reader returned {image.dtype} of shape {image.shape}, not uint8 or uint16 of"
            " shape (H, W)",
        )
    return image


def _content(path: str | Path) -> bytes:
    try:
        # For small images, the overhead of Path.open() exceeds the time to read them.
        # A pipe without O_NONBLOCK would wait for another program, for ever if there is none.
        file = os.open(path, os.O_RDONLY | _BINARY | _NONBLOCK)
        try:
            return _all_of(file)
        finally:
            os.close(file)
    except FileNotFoundError:
        target = os.readlink(path) if os.path.islink(path) else ""  # noqa: PTH114, PTH115
        raise ImageFileError(reason_broken_link(target) or "does not exist") from None
    except OSError as error:
        raise ImageFileError(f"can't be read ({error.strerror})") from None


def _all_of(file: int) -> bytes:
    status = os.fstat(file)
    _refuse_special(status.st_mode)
    size = status.st_size
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    # The file has grown, or the read was interrupted.
    parts = [content]
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _refuse_special(mode: int) -> None:
    """Refuse what a program would wait for, or read for ever."""
    if stat.S_ISFIFO(mode):
        raise ImageFileError("is a pipe, not a file")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise ImageFileError("is a device, not a file")
    if stat.S_ISSOCK(mode):
        raise ImageFileError("is a socket, not a file")
