"""Each image decoded once, into a memory map of uint8 squares that later work reads.

A prepared set holds pixels and nothing else: labels, patients, body parts and splits are always
those of the manifest that is given, joined to the pixels by path. It is a folder of the cache,
named by a digest of what the pixels were made from: the data folder, the images' paths, and each
file's size, inode and times, and the square asked for. A changed image makes a new set. It is made
in a folder `<digest>.partial`, with a journal of the images already written, and renamed when
complete: a killed preparation resumes where it stopped.

- `images.npy`: ndarray of shape (N, size, size), uint8; `numpy.load(..., mmap_mode="r")` opens it;
- `images.csv`: the `path` of each of the N images, in their order, which is that of the paths;
- `left_out.csv`: `path` and `reason` of each image that could not be read;
- `digest.txt`: a digest of pixels and paths, by which a run knows its images again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from mura_core.data.manifest import STUDY, Manifest
from mura_core.data.readers import installed_readers
from mura_core.errors import DataError, RadiographError
from mura_core.files import write_csv
from mura_core.imaging import (
    STANDARD_SQUARE,
    ImageStatistics,
    PixelStatistics,
    Readers,
    Square,
    in_batches,
    stream_images,
    stream_statistics,
)
from mura_core.progress import Progress
from mura_core.tables import read_table

_FORMAT = 5  # raise it when the same images would give other pixels
_HEADER_BYTES = 128
_ROWS_AT_ONCE = 64  # of a memory map
_AT_ONCE = 8  # images written at a time
_JOURNAL_EVERY = 128  # of these batches, whose work a killed preparation can lose


@dataclass(frozen=True)
class PreparedImages:
    """Decoded images, and what the manifest says of them.

    Attributes
    ----------
    folder : Path
        The prepared set, in the cache.
    table : DataFrame
        The manifest's row of each of `images`, in their order.
    left_out : DataFrame
        `path` and `reason` of each image of the manifest that could not be read.
    """

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
        rows = np.flatnonzero(self.table["split"] == "train")
        if len(rows) < 2:
            raise DataError("the data has fewer than 2 readable training images")
        return statistics_of(self.images, rows)

    @cached_property
    def digest(self) -> str:
        """A digest of the pixels and paths, the same wherever the data lies."""
        return (self.folder / "digest.txt").read_text(encoding="ascii").strip()

    def studies_without_images(self, manifest: Manifest) -> list[str]:
        """Return the studies of `manifest` of which no image could be read."""
        whole = manifest.table[STUDY].drop_duplicates()
        merged = whole.merge(self.table[STUDY].drop_duplicates(), how="left", indicator=True)
        lost = merged[merged["_merge"] == "left_only"]
        return ["/".join(study) for study in lost[STUDY].itertuples(index=False, name=None)]


def prepare(
    manifest: Manifest,
    cache_folder: Path,
    square: Square = STANDARD_SQUARE,
    *,
    readers: Readers | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PreparedImages:
    """Return the prepared images of a manifest, from the cache where they are there already.

    Parameters
    ----------
    manifest : Manifest
    cache_folder : Path
    square : Square
        What each image becomes.
    readers : mapping, optional
        Functions for further file suffixes, such as ".dcm"; by default those of the installed
        plugins.
    threads : int, optional
        By default as many as the cores this process may use. The result doesn't depend on it.
    progress : callable, optional

    Raises
    ------
    DataError
        No image can be read.
    """
    manifest = Manifest(manifest.folder, manifest.table.sort_values("path", ignore_index=True))
    readers = installed_readers() if readers is None else readers
    folder = cache_folder / "prepared" / _digest(manifest, square, readers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            partial.mkdir(exist_ok=True)
            _write(partial, manifest, square, readers, threads, progress)
            partial.rename(folder)
    return _open(folder, manifest.table)


def training_statistics(
    manifest: Manifest,
    cache_folder: Path,
    square: Square = STANDARD_SQUARE,
    *,
    readers: Readers | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, PixelStatistics, pd.DataFrame]:
    """Return the training images' statistics without keeping the images.

    The parameters are those of `prepare`. A killed pass goes on where it stopped.

    Returns
    -------
    path : Path
        Where the statistics were written, in the cache.
    statistics : PixelStatistics
    left_out : DataFrame
        `path` and `reason` of each image that could not be read.

    Raises
    ------
    DataError
        Fewer than 2 training images can be read.
    """
    folder = cache_folder / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = manifest.of(split="train")
    readers = installed_readers() if readers is None else readers
    digest = _digest(manifest, square, readers)
    paths = manifest.table["path"]
    sources = [os.path.join(manifest.folder, path) for path in paths]  # noqa: PTH118
    errors: list[RadiographError] = []
    sums = stream_statistics(
        sources,
        square,
        readers=readers,
        threads=threads,
        on_unreadable=errors.append,
        checkpoint=folder / f"{digest}.sums.npz",
        progress=progress,
    )
    name_of = dict(zip(sources, paths, strict=True))
    left_out = pd.DataFrame(
        {
            "path": [name_of[error.path] for error in errors],
            "reason": [error.reason for error in errors],
        }
    )
    statistics = sums.result()
    path = folder / f"{digest}.npz"
    statistics.save(path)
    return path, statistics, left_out


def statistics_of(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> PixelStatistics:
    """Return the statistics of some rows of a memory map, without decoding anything.

    Parameters
    ----------
    images : ndarray of shape (N, H, W), uint8
    rows : ndarray of shape (n,), int
    """
    sums = ImageStatistics()
    rows = np.sort(rows)
    for start, end in _runs(rows):
        for first in range(start, end, _ROWS_AT_ONCE):
            sums.update_all(images[first : min(first + _ROWS_AT_ONCE, end)])
    return sums.result()


def _runs(rows: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of each run of consecutive numbers among sorted ones."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for run in np.split(rows, breaks):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def _open(folder: Path, table: pd.DataFrame) -> PreparedImages:
    paths = read_table(folder / "images.csv", ["path"])["path"]
    left_out = read_table(folder / "left_out.csv", ["path", "reason"])
    return PreparedImages(folder, table.set_index("path").loc[paths].reset_index(), left_out)


def _digest(manifest: Manifest, square: Square, readers: Readers) -> str:
    """Return a name for the pixels of some images: two sets of the same name have the same pixels.

    The inode and the time of the last change of status tell apart files whose size and modification
    time were copied along.
    """
    reading = sorted((suffix, getattr(read, "__module__", "")) for suffix, read in readers.items())
    folder = str(manifest.folder.resolve())
    digest = hashlib.sha256(f"{_FORMAT} {square} {reading} {folder}".encode())
    for path in manifest.table["path"]:
        try:
            status = os.stat(os.path.join(folder, path))  # noqa: PTH116, PTH118 - a Path costs more
            made = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            made = None
        digest.update(f"\n{path}\0{made}".encode())
    return digest.hexdigest()[:32]


def _write(
    folder: Path,
    manifest: Manifest,
    square: Square,
    readers: Readers,
    threads: int | None,
    progress: Progress | None,
) -> None:
    total = len(manifest.table)
    with (
        (folder / "images.npy").open("a+b") as images,
        (folder / "journal.jsonl").open("a+", encoding="utf-8") as journal,
    ):
        reasons = _resume(images, journal, square.size)
        paths = manifest.table["path"].iloc[len(reasons) :]
        sources = (os.path.join(manifest.folder, path) for path in paths)  # noqa: PTH118 - fast
        results = stream_images(sources, square, readers=readers, threads=threads)
        journalled = len(reasons)
        for step, batch in enumerate(in_batches(results, _AT_ONCE), start=1):
            readable = [image for image in batch if not isinstance(image, RadiographError)]
            reasons += [
                result.reason if isinstance(result, RadiographError) else None for result in batch
            ]
            if readable:
                images.write(np.stack(readable).data)  # all uint8, as squares are
            if step % _JOURNAL_EVERY == 0 or len(reasons) == total:
                # The journal may only name images that are on the disk.
                _to_disk(images)
                journal.writelines(json.dumps(reason) + "\n" for reason in reasons[journalled:])
                _to_disk(journal)
                journalled = len(reasons)
            if progress:
                progress(len(reasons), total)
    _finish(folder, manifest, reasons, square.size)


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


def _finish(
    folder: Path,
    manifest: Manifest,
    reasons: list[str | None],
    size: int,
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
    write_csv(folder / "images.csv", table[["path"]])
    write_csv(folder / "left_out.csv", left_out)
    with (folder / "images.npy").open("r+b") as images:
        images.write(_npy_header(len(table), size))
        _to_disk(images)
        images.seek(0)
        pixels = hashlib.file_digest(images, "sha256").hexdigest()
    listed = (folder / "images.csv").read_bytes()
    digest = hashlib.sha256(pixels.encode() + listed).hexdigest()
    (folder / "digest.txt").write_text(f"{digest}\n", encoding="ascii")
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
