"""A file becomes a grey image, or an error that says why it can't."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mura_core.errors import DataError, MuraError, PngError, RadiographError
from mura_core.imaging.png.extensions import chunks
from mura_core.imaging.png.reader import read_png

GreyImage: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
# Functions of plugins for further file formats, by file name ending, such as ".dcm".
Readers: TypeAlias = Mapping[str, Callable[[Path], GreyImage]]

NO_READERS: Readers = MappingProxyType({})

# The largest detectors make 25 million pixels. Pillow, too, warns from 89 million on.
MAX_PIXELS = 80_000_000

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Only these of Pillow's formats: some others run programs or fetch files.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L")


def read_radiograph(
    source: str | Path | bytes, name: str | None = None, readers: Readers = NO_READERS
) -> GreyImage:
    """Return a file's pixels as one grey image, upright, at its own size and depth.

    Colour becomes grey by Rec. 601 luma (Pillow's weights), a palette is applied, opacity is
    dropped, and an EXIF orientation is carried out. Sixteen bits stay sixteen.

    Parameters
    ----------
    source : str, Path or bytes
        A PNG, JPEG, BMP, TIFF or WebP file, or its content.
    name : str, optional
        What an error calls the file; by default its path.
    readers : mapping, optional
        Functions that read files of further formats.

    Returns
    -------
    ndarray of shape (H, W), uint8 or uint16

    Raises
    ------
    RadiographError
        The file is missing, empty, truncated, of another format, or too large.
    """
    if name is None:
        name = "image" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes):
        reader = readers.get(Path(source).suffix.lower()) if readers else None
        if reader is not None:
            return _read_by_plugin(reader, Path(source), name)
        source = _content(source, name)
    if not source:
        raise RadiographError(name, "is empty (0 bytes)")
    if source.startswith(chunks.SIGNATURE):
        try:
            pixels = read_png(source, MAX_PIXELS)
        except PngError as error:
            raise RadiographError(name, f"is damaged: {error}") from None
        if pixels is not None:
            return pixels
    return _read_by_pillow(source, name)


def image_files(sources: Iterable[Path], readers: Readers = NO_READERS) -> list[Path]:
    """Return these files, and every image file below these folders, sorted.

    Raises
    ------
    DataError
        There is none.
    """
    suffixes = {*SUFFIXES, *readers}
    found = {
        path
        for source in sources
        for path in (source.rglob("*") if source.is_dir() else [source])
        if path == source or (path.suffix.lower() in suffixes and path.is_file())
    }
    if not found:
        raise DataError(f"no image files found; known are {', '.join(sorted(suffixes))}")
    return sorted(found)


def _read_by_plugin(reader: Callable[[Path], GreyImage], path: Path, name: str) -> GreyImage:
    try:
        image = reader(path)
    except MuraError as error:
        raise RadiographError(name, f"can't be read ({error})") from error
    except Exception as error:
        raise RadiographError(name, f"can't be read ({type(error).__name__}: {error})") from error
    if not isinstance(image, np.ndarray):
        raise RadiographError(name, f"was read as a {type(image).__name__}, not as an array")
    if image.ndim != 2 or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise RadiographError(
            name, f"was read as {image.dtype} of shape {image.shape}, not as 8 or 16 bits of grey"
        )
    return image


def _read_by_pillow(content: bytes, name: str) -> GreyImage:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            _refuse_odd_shapes(image, name)
            return _grey(ImageOps.exif_transpose(image), name)
    except UnidentifiedImageError:
        kinds = ", ".join(_FORMATS)
        raise RadiographError(name, f"is not an image that can be read ({kinds})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RadiographError(name, f"claims more than {MAX_PIXELS:,} pixels") from None
    # Pillow's decoders raise any of these on damaged content.
    except (OSError, SyntaxError, ValueError, IndexError, EOFError) as error:
        raise RadiographError(name, f"is damaged or truncated ({error})") from None


def _content(path: str | Path, name: str) -> bytes:
    try:
        # A Path, and a file object, would cost more than small images take to be read.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return _all_of(file)
        finally:
            os.close(file)
    except FileNotFoundError:
        raise RadiographError(name, "does not exist") from None
    except OSError as error:
        raise RadiographError(name, f"can't be read ({error.strerror})") from None


def _all_of(file: int) -> bytes:
    size = os.fstat(file).st_size
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    # It has grown, or is no regular file, or the read was interrupted.
    parts = [content]
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _refuse_odd_shapes(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise RadiographError(
            name, f"claims {width} x {height} pixels; at most {MAX_PIXELS:,} are read"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise RadiographError(name, f"holds {frames} images; save each as a file of its own")


def _grey(image: Image.Image, name: str) -> GreyImage:
    if image.mode in _SIXTEEN_BIT_MODES:
        # Not through Pillow's convert("L"), which clips at 255 instead of scaling.
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        raise RadiographError(name, f"has 32-bit pixels (mode {image.mode}); save it as 16-bit")
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))
