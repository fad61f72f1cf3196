"""Statistics of training images that aren't kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from mura_core.data.cache_lock import locked
from mura_core.data.left_out import LEFT_OUT, with_files, write_list
from mura_core.data.manifest import Manifest
from mura_core.data.prepared_name import prepared_name
from mura_core.data.readers import installed_readers
from mura_core.errors import CheckpointError, RadiographError
from mura_core.files import make_folder, remove_leftovers
from mura_core.imaging import (
    STANDARD_SQUARE,
    ImageStatistics,
    PixelStatistics,
    Readers,
    Square,
    stream_statistics,
)
from mura_core.progress import Progress

_Summed: TypeAlias = tuple[ImageStatistics, list[RadiographError]]

log = logging.getLogger("mura")


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
    manifest = manifest.of(split="train")
    readers = installed_readers() if readers is None else readers
    name = prepared_name(manifest, square, readers)
    folder = cache_folder / "statistics"
    make_folder(folder, "XDG_CACHE_HOME")
    path = folder / f"{name}.npz"
    paths = manifest.table["path"]
    sources = [os.path.join(manifest.folder, path) for path in paths]  # noqa: PTH118

    def summed(checkpoint: Path) -> _Summed:
        errors: list[RadiographError] = []
        sums = stream_statistics(
            sources,
            square,
            readers=readers,
            threads=threads,
            on_unreadable=errors.append,
            checkpoint=checkpoint,
            progress=progress,
        )
        return sums, errors

    with locked(folder / name):
        remove_leftovers(folder, f".{name}")
        sums, errors = _summed_again_if_damaged(summed, folder / f"{name}.sums.npz")
        statistics = sums.result()
        statistics.save(path)
        name_of = dict(zip(sources, paths, strict=True))
        unreadable = pd.DataFrame(
            [(name_of[error.path], error.reason) for error in errors], columns=LEFT_OUT
        )
        write_list(folder / f"{name}.left_out.csv", with_files(unreadable, manifest))
    return path, statistics, unreadable


def _summed_again_if_damaged(summed: Callable[[Path], _Summed], checkpoint: Path) -> _Summed:
    try:
        return summed(checkpoint)
    except CheckpointError as error:
        log.warning("%s, so the images are summed again", error)
        checkpoint.unlink()
        return summed(checkpoint)
