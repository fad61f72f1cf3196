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
- `digest.txt`: a digest of pixels and paths, by which a run checks that it has the same images;
- `checksums.json`: checksums of the images and of the files that are read.

A set with a wrong checksum is prepared again. A finished set is never written to, so that a process
that has mapped its images keeps them whatever happens to the folder.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data.cache_lock import locked
from mura_core.data.columns import STUDY
from mura_core.data.left_out import LEFT_OUT, with_files, write_list
from mura_core.data.manifest import Manifest
from mura_core.data.prepared_checks import damage_of, image_checksums
from mura_core.data.prepared_files import write_prepared
from mura_core.data.prepared_name import prepared_name
from mura_core.data.readers import installed_readers
from mura_core.data.unusual import (
    NEARLY_BLACK,
    TRAITS,
    UsualTraits,
    unusual_images,
    usual_traits,
)
from mura_core.errors import DataError, printable
from mura_core.files import make_folder, remove_leftovers
from mura_core.imaging import (
    STANDARD_SQUARE,
    ImageStatistics,
    PixelStatistics,
    Readers,
    Square,
    crc32,
)
from mura_core.progress import Progress
from mura_core.tables import read_table

PARTIAL = ".partial"  # suffix of a set that isn't finished
_ROWS_AT_ONCE = 64  # of a memory map

log = logging.getLogger("mura")


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
    listed_in : str
        Where `left_out` is listed, such as "in <file>".
    checksums : tuple of N int
        The CRC-32 of each image when the set was opened.
    """

    folder: Path
    table: pd.DataFrame
    unreadable: pd.DataFrame
    left_out: pd.DataFrame
    listed_in: str
    checksums: tuple[int, ...] = ()

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

    def refuse_changed(self) -> None:
        """Raise a DataError if the images have changed since they were opened.

        Something may write to the cache in the middle of a run. Called before results are kept;
        takes 0.7 s for 40,000 images.
        """
        for number, (image, checksum) in enumerate(zip(self.images, self.checksums, strict=True)):
            if crc32(image.data.cast("B")) != checksum:
                raise DataError(
                    f"{self.folder}: the pixels of {printable(self.table['path'].iloc[number])}"
                    " were changed in the cache during the run, so its results can't be used; give"
                    " the command again"
                )

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
    folder = cache_folder / "prepared" / prepared_name(manifest, square, readers)
    make_folder(folder.parent, "XDG_CACHE_HOME")
    if not os.access(folder.parent, os.W_OK) and folder.is_dir() and not damage_of(folder):
        return _open(folder, manifest)  # a read-only cache can't be locked
    with locked(folder):
        _remove_if_damaged(folder)
        if not folder.is_dir():
            partial = folder.with_suffix(PARTIAL)
            partial.mkdir(exist_ok=True)
            remove_leftovers(partial)
            try:
                write_prepared(partial, manifest, square, readers, threads, progress)
                partial.rename(folder)
            except OSError as error:
                raise DataError(
                    f"{partial}: can't be written ({error.strerror or error}); what is prepared so"
                    " far is kept"
                ) from error
            if damage := damage_of(folder):
                raise DataError(f"{folder}: {damage} right after it was written; check the disk")
        remove_leftovers(folder)
        return _open(folder, manifest)


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


def _remove_if_damaged(folder: Path) -> None:
    if folder.is_dir() and (damage := damage_of(folder)):
        log.warning("%s: %s, so the images are prepared again", folder, damage)
        shutil.rmtree(folder)


def _open(folder: Path, manifest: Manifest) -> PreparedImages:
    """Return a set with all its files opened or read: they may be deleted during a run."""
    paths = read_table(folder / "images.csv", ["path"])["path"]
    table = manifest.table.set_index("path").loc[paths].reset_index()
    unreadable = read_table(folder / "unreadable.csv", LEFT_OUT)
    left_out = with_files(unreadable, manifest)
    listed_in = write_list(folder / "left_out.csv", left_out)
    checksums = image_checksums(folder)
    prepared = PreparedImages(folder, table, unreadable, left_out, listed_in, checksums)
    assert len(prepared.images) == len(prepared.traits) == len(table)
    assert prepared.digest
    return prepared
