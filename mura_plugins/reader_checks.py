"""The check of readers, which `mura_plugins.testing` offers to plugin authors."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.contract import ContractError, raising_contract_errors, require
from mura_plugins.manager import resolve
from mura_plugins.record_checks import refuse_invalid
from mura_plugins.records import Reader

_THREADS = 4
_TOLERANCE = 0.01  # of the range, for lossy compression
_HIGHEST = {"uint8": 255, "uint16": 65535}


@raising_contract_errors
def check_reader(record: Reader, file: Path) -> None:
    """Check that a reader meets the requirements of the core.

    The reader returns a grey image, uint8 or uint16, of shape (H, W). Black is 0 and white is 255
    or 65535, whatever the bit depth of the file. The image doesn't depend on the file's name or
    folder, nor on other threads, and the file isn't changed. An empty file, and one that is cut in
    half, raise an exception.

    Parameters
    ----------
    record : Reader
    file : Path
        A file of the format, with a suffix or a signature of the record. Its image must have black
        and white pixels.

    Raises
    ------
    ContractError
        A requirement is violated, or reading the file raises an exception.
    """
    _check_kinds(record, file)
    read = resolve(record.read)
    content = file.read_bytes()
    image = read(file)
    require(file.read_bytes() == content, "reading changed the file")
    _check_image(image)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"copy{file.suffix}"
        shutil.copyfile(file, copy)
        same = np.array_equal(read(copy), image)
        require(same, "a copy of the file gives another image")
        with ThreadPoolExecutor(_THREADS) as pool:
            others = list(pool.map(read, [file, copy] * _THREADS))
        same = all(np.array_equal(other, image) for other in others)
        require(same, "reading in several threads gives another image")
        _check_refused(read, copy, b"", "an empty file")
        _check_refused(read, copy, content[: len(content) // 2], "a file that is cut in half")


def _check_kinds(record: Reader, file: Path) -> None:
    refuse_invalid(record)
    for suffix in record.suffixes:
        require(suffix == suffix.lower(), f"the suffix {suffix!r} isn't in lower case")
    content = file.read_bytes()
    is_known = file.suffix.lower() in record.suffixes or any(
        content[offset : offset + len(magic)] == magic for offset, magic in record.signatures
    )
    require(is_known, f"{file.name} has neither a suffix nor a signature of the record")


def _check_image(image: Any) -> None:
    is_array = isinstance(image, np.ndarray)
    require(is_array, f"it returned a {type(image).__name__}, not an ndarray")
    require(image.ndim == 2, f"the image has shape {image.shape}; expected (H, W)")
    require(image.size, f"the image has shape {image.shape}: no pixels")
    is_grey = image.dtype.name in _HIGHEST
    require(is_grey, f"the image is {image.dtype}, not uint8 or uint16")
    _check_range(image)


def _check_range(image: NDArray[Any]) -> None:
    highest = _HIGHEST[image.dtype.name]
    darkest, brightest = int(image.min()), int(image.max())
    require(
        darkest <= _TOLERANCE * highest,
        f"black is {darkest}, not 0: the levels of a {image.dtype} image span 0 to {highest},"
        " whatever the bit depth of the file",
    )
    require(
        brightest >= (1 - _TOLERANCE) * highest,
        f"white is {brightest}, not {highest}: the levels of a {image.dtype} image span 0 to"
        f" {highest}, whatever the bit depth of the file",
    )


def _check_refused(read: Callable[[Path], Any], path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    try:
        read(path)
    except Exception:
        return
    raise ContractError(f"{what} is read as an image; it must raise an exception")
