"""Notice damage of a prepared set: checksums of its files, and of each of its images.

`checksums.json` has the CRC-32 of each small file, of the header of `images.npy` and of each image.
They are checked when a set is opened, by reading it once: 4 GB/s if it is in the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path

from mura_core.files import replacing
from mura_core.imaging import crc32

HEADER_BYTES = 128  # of images.npy
SMALL_FILES = ("digest.txt", "images.csv", "traits.csv", "unreadable.csv")
_NAME = "checksums.json"
_READ_BYTES = 1 << 22  # at a time


def write_checksums(folder: Path, images: Sequence[int]) -> None:
    """Write `checksums.json` of a prepared set.

    Parameters
    ----------
    folder : Path
        The folder of the set, with all other files.
    images : sequence of int
        The CRC-32 of each image, computed before it was written.
    """
    with (folder / "images.npy").open("rb") as file:
        header = crc32(file.read(HEADER_BYTES))
    known = {name: crc32((folder / name).read_bytes()) for name in SMALL_FILES}
    with replacing(folder / _NAME) as file:
        json.dump(known | {"header": header, "images": list(images)}, file)


def damage_of(folder: Path) -> str | None:
    """Return what is damaged in a prepared set, such as "images.npy", or None.

    Parameters
    ----------
    folder : Path
        The folder of the set.
    """
    try:
        known = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        images = list(known["images"])
        expected = {name: known[name] for name in SMALL_FILES}
        header = known["header"]
    except FileNotFoundError:
        return f"{_NAME} is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{_NAME} is damaged"
    for name, checksum in expected.items():
        try:
            if crc32((folder / name).read_bytes()) != checksum:
                return f"{name} is damaged"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} can't be read: {error.strerror}"
    return _damage_of_images(folder / "images.npy", header, images)


def checksums_of(file: BufferedIOBase, image_bytes: int) -> Iterator[int]:
    """Yield the CRC-32 of each image in the rest of a file; an incomplete last one is left out.

    Parameters
    ----------
    file : BufferedIOBase
        At the first byte of an image.
    image_bytes : int
        Bytes in an image.

    Yields
    ------
    int
    """
    # Read instead of mapped: pages of a map would count as memory of this process.
    buffer = memoryview(bytearray(image_bytes * max(1, _READ_BYTES // image_bytes)))
    while length := file.readinto(buffer):
        for start in range(0, length - image_bytes + 1, image_bytes):
            yield crc32(buffer[start : start + image_bytes])
        if length < len(buffer):
            return


def image_checksums(folder: Path) -> tuple[int, ...]:
    """Return the CRC-32 of each image of an undamaged set.

    Parameters
    ----------
    folder : Path
        The folder of the set.
    """
    return tuple(json.loads((folder / _NAME).read_text(encoding="utf-8"))["images"])


def _damage_of_images(path: Path, header: int, images: Sequence[int]) -> str | None:
    try:
        with path.open("rb") as file:
            if crc32(file.read(HEADER_BYTES)) != header:
                return f"{path.name} is damaged"
            size = path.stat().st_size - HEADER_BYTES
            if not images or size % len(images):
                return f"{path.name} is cut"
            found = checksums_of(file, size // len(images))
            for number, (one, other) in enumerate(zip(images, found, strict=True), start=1):
                if one != other:
                    return f"{path.name} is damaged at image {number} of {len(images)}"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} can't be read: {error.strerror}"
    return None
