"""Decode every image once, into a memory map of uint8 squares.

A prepared set holds only pixels: labels, patients, body parts and splits come from the manifest and
are joined to the pixels by path. It is a folder in the cache, named by a digest of everything that
the pixels depend on: the data folder, the paths of the images, the `file_identity` of each file,
and the square. If an image changes, or the data is moved, a new set is made. A set is written to a
folder `<digest>.partial`, with a journal of the images already written, and renamed when complete.
If preparation is interrupted, it resumes where it stopped.

- `images.npy`: ndarray of shape (N, size, size), uint8; `numpy.load(..., mmap_mode="r")` opens it;
- `images.csv`: the `path` of each of the N images, in their order, which is sorted by path;
- `traits.csv`: the `ImageTraits` of each of these images, such as its size and mean level;
- `unreadable.csv`: `path` and `reason` of each image that can't be read;
- `left_out.csv`: these, and the other files of the data set when the set was last used; only for
  people to read;
- `unusual.csv`: `path` and `reason` of each image that is unlike the training images of the last
  use; only for people to read;
- `digest.txt`: a digest of pixels and paths, by which a run checks that it has the same images.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from mura_core.data.columns import STUDY
from mura_core.data.left_out import LEFT_OUT, as_table
from mura_core.data.manifest import Manifest
from mura_core.data.prepared_files import write_prepared
from mura_core.data.readers import installed_readers
from mura_core.data.unusual import (
    NEARLY_BLACK,
    TRAITS,
    UsualTraits,
    unusual_images,
    usual_traits,
)
from mura_core.errors import DataError, RadiographError
from mura_core.files import write_csv
from mura_core.imaging import (
    STANDARD_SQUARE,
    GreyImage,
    ImageStatistics,
    PixelStatistics,
    Readers,
    Square,
    file_identities,
    stream_statistics,
)
from mura_core.progress import Progress
from mura_core.tables import read_table

_FORMAT = 8  # increment when the same images would give different pixels
_ROWS_AT_ONCE = 64  # of a memory map
_NAMES = "backslashreplace"  # of files; not all are UTF-8


@dataclass(frozen=True)
class PreparedImages:
    """Decoded images and their rows of the manifest.

    Attributes
    ----------
    folder : Path
        Folder of the prepared set, in the cache.
    table : DataFrame of N rows
        The manifest's rows, in the order of `images`.
    unreadable : DataFrame
        `path` and `reason` of each image of the manifest that can't be read.
    left_out : DataFrame
        The same of these images and of the files that aren't in the manifest, relative to its
        folder.
    """

    folder: Path
    table: pd.DataFrame
    unreadable: pd.DataFrame
    left_out: pd.DataFrame

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """Read-only memory map of the images, of shape (N, size, size), uint8."""
        return np.load(self.folder / "images.npy", mmap_mode="r")

    def statistics(self) -> PixelStatistics:
        """Return the mean and deviation image of the training images.

        Raises
        ------
        DataError
            There are fewer than two training images.
        """
        rows = np.flatnonzero(self.table["split"] == "train")
        if len(rows) < 2:
            raise DataError("the data has fewer than 2 readable training images")
        return statistics_of(self.images, rows)

    @cached_property
    def digest(self) -> str:
        """Digest of the pixels and paths, independent of the location of the data."""
        return (self.folder / "digest.txt").read_text(encoding="ascii").strip()

    @cached_property
    def traits(self) -> pd.DataFrame:
        """The `ImageTraits` of each of the N images, by column."""
        return read_table(self.folder / "traits.csv", TRAITS)

    def usual_traits(self) -> UsualTraits | None:
        """Return what the training images are like, or None if they are too few to tell."""
        return usual_traits(self.traits[self.table["split"] == "train"])

    def unusual(self) -> pd.DataFrame:
        """Return `path` and `reason` of each image that is unlike the training images.

        None is named as nearly black if that is usual or can't be told; see `largest_16_bit_level`.
        """
        usual = self.usual_traits()
        found = unusual_images(self.table["path"].tolist(), self.traits, usual)
        if usual is None:
            found = found[~found["reason"].str.startswith(NEARLY_BLACK)]
        return found.reset_index(drop=True)

    @cached_property
    def largest_16_bit_level(self) -> int:
        """The largest level of all images of 16 bits, or 0 if there are none."""
        levels = self.traits["brightest"][self.traits["bits"] == 16]
        return int(levels.max()) if len(levels) else 0

    def studies_without_images(self, manifest: Manifest) -> list[str]:
        """Return the studies without any readable image.

        Parameters
        ----------
        manifest : Manifest
            The manifest that the images were prepared from.

        Returns
        -------
        list of str
            The studies, as "<body part>/<patient>/<study>".
        """
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
    """Decode and resize the images of a manifest, or open them if they are in the cache.

    Parameters
    ----------
    manifest : Manifest
        The images to prepare.
    cache_folder : Path
        The prepared set is stored in its subfolder `prepared`.
    square : Square
        Size, interpolation and aspect-ratio handling of the resized images.
    readers : mapping, optional
        Functions that read further file formats, by suffix, such as ".dcm", and by signature; by
        default those of the installed plugins.
    threads : int, optional
        Number of threads; by default the number of available CPU cores. The result doesn't depend
        on it.
    progress : callable, optional
        Called with the number of images done and the total.

    Returns
    -------
    PreparedImages

    Raises
    ------
    DataError
        No image can be read.
    """
    manifest = replace(manifest, table=manifest.table.sort_values("path", ignore_index=True))
    readers = installed_readers() if readers is None else readers
    folder = cache_folder / "prepared" / _digest(manifest, square, readers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            partial.mkdir(exist_ok=True)
            write_prepared(partial, manifest, square, readers, threads, progress)
            partial.rename(folder)
        return _open(folder, manifest)


def training_statistics(
    manifest: Manifest,
    cache_folder: Path,
    square: Square = STANDARD_SQUARE,
    *,
    readers: Readers | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, PixelStatistics, pd.DataFrame]:
    """Return the training images' mean and deviation image without storing the images.

    An interrupted pass resumes where it stopped.

    Parameters
    ----------
    manifest, cache_folder, square, readers, threads, progress
        See `prepare`.

    Returns
    -------
    path : Path
        File of the statistics, in the cache. The `.left_out.csv` with the same name has the images
        that can't be read and the files that aren't in the manifest.
    statistics : PixelStatistics
        The mean and deviation image.
    unreadable : DataFrame
        `path` and `reason` of each image that can't be read.

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
    unreadable = pd.DataFrame(
        [(name_of[error.path], error.reason) for error in errors], columns=LEFT_OUT
    )
    statistics = sums.result()
    path = folder / f"{digest}.npz"
    statistics.save(path)
    write_csv(folder / f"{digest}.left_out.csv", _with_files(unreadable, manifest))
    return path, statistics, unreadable


def statistics_of(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> PixelStatistics:
    """Return the mean and deviation image of some images of a memory map.

    Parameters
    ----------
    images : ndarray of shape (N, H, W), uint8
        Prepared images.
    rows : ndarray of shape (n,), int
        Indices of the images.

    Returns
    -------
    PixelStatistics
    """
    sums = ImageStatistics()
    rows = np.sort(rows)
    for start, end in _runs(rows):
        for first in range(start, end, _ROWS_AT_ONCE):
            sums.update_all(images[first : min(first + _ROWS_AT_ONCE, end)])
    return sums.result()


def _runs(rows: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of consecutive integers in a sorted array."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for run in np.split(rows, breaks):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def _open(folder: Path, manifest: Manifest) -> PreparedImages:
    paths = read_table(folder / "images.csv", ["path"])["path"]
    table = manifest.table.set_index("path").loc[paths].reset_index()
    unreadable = read_table(folder / "unreadable.csv", LEFT_OUT)
    left_out = _with_files(unreadable, manifest)
    write_csv(folder / "left_out.csv", left_out)
    return PreparedImages(folder, table, unreadable, left_out)


def _with_files(unreadable: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    others = as_table(manifest.left_out, manifest.folder)
    return pd.concat([unreadable, others], ignore_index=True)


def _digest(manifest: Manifest, square: Square, readers: Readers) -> str:
    """Return the name of a prepared set; sets with the same name have the same pixels."""
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
