"""Name a prepared set by everything that its pixels depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from mura_core.data.manifest import Manifest
from mura_core.imaging import GreyImage, Readers, Square, file_identities

_FORMAT = 8  # increment when the same images would give different pixels or files
_NAMES = "backslashreplace"  # of files; not all are UTF-8


def prepared_name(manifest: Manifest, square: Square, readers: Readers) -> str:
    """Return the name of a prepared set; sets with the same name have the same pixels.

    Parameters
    ----------
    manifest : Manifest
        Images to prepare.
    square : Square
        What every image becomes.
    readers : mapping
        Functions for further file suffixes.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    reading = sorted((str(kind), _function(read)) for kind, read in readers.items())
    folder = str(manifest.folder.resolve())
    digest = hashlib.sha256(f"{_FORMAT} {square} {reading} {folder}".encode(errors=_NAMES))
    paths = manifest.table["path"]
    files = [os.path.join(folder, path) for path in paths]  # noqa: PTH118 - a Path costs more
    for path, identity in zip(paths, file_identities(files), strict=True):
        digest.update(f"\n{path}\0{identity}".encode(errors=_NAMES))
    return digest.hexdigest()[:32]


def _function(read: Callable[[Path], GreyImage]) -> tuple[str, str]:
    """Return a reader's module and its options, which the pixels depend on."""
    options = getattr(read, "keywords", {})  # of a functools.partial
    return getattr(getattr(read, "func", read), "__module__", ""), str(sorted(options.items()))
