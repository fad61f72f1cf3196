"""Each image decoded once, into a memory map of uint8 squares that later work reads.

A prepared set is a folder of the cache, named by a digest of what it was made from: the images'
paths, file sizes and modification times, their split, and the size asked for. So a changed image
makes a new set. It is made in a folder `<digest>.partial`, with a journal of the images already
written, and renamed when whole: a killed preparation goes on where it stopped.

- `images.npy`: ndarray of shape (N, size, size), uint8; `numpy.load(..., mmap_mode="r")` opens it;
- `images.csv`: the manifest's rows, one for each of the N images, in their order;
- `left_out.csv`: `path` and `reason` of each image that could not be read;
- `statistics.npz`: the mean and deviation image of the training images.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from mura_core.cores import usable_cores
from mura_core.errors import DataError, RadiographError
from mura_core.files import write_csv
from mura_core.manifest import STUDY, Manifest
from mura_core.radiographs import NO_READERS, Readers, read_radiograph, resize
from mura_core.statistics import ImageStatistics, PixelStatistics, load_statistics

# Called with how many images are done and how many there are.
Progress: TypeAlias = Callable[[int, int], None]

_FORMAT = 2  # raise it when the same images would give other pixels
_HEADER_BYTES = 128
_JOURNAL_EVERY = 256  # images whose work a killed preparation can lose


@dataclass(frozen=True)
class PreparedImages:
    """A prepared set: `table` has one row for each of `images`, in their order."""

    folder: Path
    table: pd.DataFrame
    left_out: pd.DataFrame

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """The memory map, read-only, of shape (N, size, size), uint8."""
        return np.load(self.folder / "images.npy", mmap_mode="r")

    def statistics(self) -> PixelStatistics:
        """Return the mean and deviation image of the training images.

        Raises
        ------
        DataError
            There are not two training images.
        """
        path = self.folder / "statistics.npz"
        if not path.is_file():
            raise DataError("the data has fewer than 2 readable training images")
        return load_statistics(path)

    def studies_without_images(self, manifest: Manifest) -> list[str]:
        """Return the studies of `manifest` of which no image could be read."""
        whole = manifest.table[STUDY].drop_duplicates()
        merged = whole.merge(self.table[STUDY].drop_duplicates(), how="left", indicator=True)
        lost = merged[merged["_merge"] == "left_only"]
        return ["/".join(study) for study in lost[STUDY].itertuples(index=False, name=None)]


def prepare(
    manifest: Manifest,
    cache_folder: Path,
    *,
    size: int = 224,
    readers: Readers = NO_READERS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PreparedImages:
    """Return the prepared images of a manifest, from the cache where they are there already.

    Parameters
    ----------
    manifest : Manifest
    cache_folder : Path
    size : int
        Side of the square that each image is stretched to, in pixels.
    readers : mapping, optional
        Functions for further file suffixes, such as ".dcm".
    threads : int, optional
        By default as many as the cores this process may use. The result doesn't depend on it.
    progress : callable, optional

    Raises
    ------
    DataError
        No image can be read.
    """
    folder = cache_folder / "prepared" / _digest(manifest, size, readers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            partial.mkdir(exist_ok=True)
            _write(partial, manifest, size, readers, threads or usable_cores(), progress)
            partial.rename(folder)
    return _open(folder)


def statistics_of(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> PixelStatistics:
    """Return the statistics of some rows of a memory map, without decoding anything."""
    sums = ImageStatistics()
    for row in rows:
        sums.update(images[row])
    return PixelStatistics(sums.mean(), sums.deviation(), sums.count)


def _open(folder: Path) -> PreparedImages:
    text = dict.fromkeys(("path", "body_part", "patient", "study", "split"), "str")
    table = pd.read_csv(folder / "images.csv", dtype=text | {"label": "int8"}, na_filter=False)
    left_out = pd.read_csv(folder / "left_out.csv", dtype="str", na_filter=False)
    return PreparedImages(folder, table, left_out)


def _digest(manifest: Manifest, size: int, readers: Readers) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {size} {sorted(readers)}".encode())
    for path, split in zip(manifest.table["path"], manifest.table["split"], strict=True):
        try:
            status = (manifest.folder / path).stat()
            made = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            made = "missing"
        digest.update(f"\n{path}\0{split}\0{made}".encode())
    return digest.hexdigest()[:32]


def _write(
    folder: Path,
    manifest: Manifest,
    size: int,
    readers: Readers,
    threads: int,
    progress: Progress | None,
) -> None:
    trains = (manifest.table["split"] == "train").to_numpy()
    total = len(manifest.table)
    sums = ImageStatistics()
    with (
        (folder / "images.npy").open("a+b") as images,
        (folder / "journal.jsonl").open("a+", encoding="utf-8") as journal,
    ):
        reasons = _resume(images, journal, size)
        _add_written(images, reasons, trains, size, sums)
        paths = manifest.table["path"].iloc[len(reasons) :]
        pending = []
        for pixels, reason in _read_in_order(manifest.folder, paths, size, readers, threads):
            if pixels is not None:
                images.write(pixels.tobytes())
                if trains[len(reasons)]:
                    sums.update(pixels)
            reasons.append(reason)
            pending.append(json.dumps(reason))
            if len(pending) == _JOURNAL_EVERY or len(reasons) == total:
                # The journal may only name images that are on the disk.
                _to_disk(images)
                journal.write("\n".join(pending) + "\n")
                _to_disk(journal)
                pending.clear()
            if progress:
                progress(len(reasons), total)
    _finish(folder, manifest, reasons, size, sums)


def _resume(images: IO[bytes], journal: IO[str], size: int) -> list[str | None]:
    """Return the journal so far, and cut `images` to what it names."""
    journal.seek(0)
    lines = journal.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    journal.truncate(sum(len(line.encode()) for line in whole))
    reasons: list[str | None] = [json.loads(line) for line in whole]
    images.truncate(0 if not reasons else _HEADER_BYTES + reasons.count(None) * size * size)
    if not reasons:
        images.write(_npy_header(0, size))
    return reasons


def _add_written(
    images: IO[bytes],
    reasons: list[str | None],
    trains: NDArray[np.bool_],
    size: int,
    sums: ImageStatistics,
) -> None:
    images.seek(_HEADER_BYTES)
    for reason, train in zip(reasons, trains, strict=False):
        if reason is None:
            pixels = np.frombuffer(images.read(size * size), np.uint8).reshape(size, size)
            if train:
                sums.update(pixels)
    images.seek(0, os.SEEK_END)


def _read_in_order(
    folder: Path,
    paths: pd.Series[str],
    size: int,
    readers: Readers,
    threads: int,
) -> Iterator[tuple[NDArray[np.uint8] | None, str | None]]:
    """Yield each image's pixels, or the reason why there are none, holding only a few."""

    def read(path: str) -> tuple[NDArray[np.uint8] | None, str | None]:
        try:
            return resize(read_radiograph(folder / path, path, readers), size), None
        except RadiographError as error:
            return None, error.reason

    waiting = iter(paths)
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[tuple[NDArray[np.uint8] | None, str | None]]] = deque()
        running.extend(pool.submit(read, path) for path in islice(waiting, 4 * threads))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(read, path) for path in islice(waiting, 1))
            yield result


def _finish(
    folder: Path,
    manifest: Manifest,
    reasons: list[str | None],
    size: int,
    sums: ImageStatistics,
) -> None:
    reason = pd.Series(reasons, index=manifest.table.index, dtype="object")
    left_out = manifest.table[["path"]].assign(reason=reason)[reason.notna()]
    table = manifest.table[reason.isna()]
    if table.empty:
        first = left_out.iloc[0]
        raise DataError(
            f"none of the {len(left_out)} images can be read; the first: {first['path']}"
            f" {first['reason']}"
        )
    write_csv(folder / "images.csv", table)
    write_csv(folder / "left_out.csv", left_out)
    if sums.count >= 2:
        PixelStatistics(sums.mean(), sums.deviation(), sums.count).save(folder / "statistics.npz")
    with (folder / "images.npy").open("r+b") as images:
        images.write(_npy_header(len(table), size))
        _to_disk(images)
    (folder / "journal.jsonl").unlink()


def _npy_header(count: int, size: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    )
    # NumPy leaves room for the count to grow, so the length is the same for any count.
    assert len(header.getvalue()) == _HEADER_BYTES
    return header.getvalue()


def _to_disk(file: IO[bytes] | IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
