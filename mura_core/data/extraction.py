"""Extract images and labels as arrays, for use with other machine learning code."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data.levels import LEVELS
from mura_core.data.manifest import read_manifest
from mura_core.data.prepared import prepare, statistics_of
from mura_core.data.readers import installed_readers
from mura_core.data.reading import Reading
from mura_core.data.seed import DEFAULT_SEED
from mura_core.errors import UsageError
from mura_core.imaging import STANDARD_SQUARE, Readers, Square
from mura_core.imaging import standardise as standardise_images

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger("mura")


@dataclass(frozen=True)
class Extraction:
    """Images and labels, grouped by unit (image, study or patient).

    Attributes
    ----------
    images : ndarray of shape (N, size, size), uint8, or float32 if standardised
        The images, ordered by unit. If possible, uint8 images are a view of the memory map.
    labels : ndarray of shape (units,), int8
        1 if any image of the unit is abnormal.
    first : ndarray of shape (units + 1,), int
        Unit i's images are `images[first[i]:first[i + 1]]`.
    table : DataFrame of N rows
        The manifest's row of each image.
    left_out : DataFrame
        `path` and `reason` of each file of the data set that isn't used: images of any split and
        body part that can't be read, and files that aren't images of the manifest.
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int8]
    first: NDArray[np.intp]
    table: pd.DataFrame
    left_out: pd.DataFrame

    def unit(self, number: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return the images of a unit.

        Parameters
        ----------
        number : int
            Index of the unit, from 0.

        Returns
        -------
        ndarray of shape (n, size, size), uint8 or float32
        """
        return self.images[self.first[number] : self.first[number + 1]]

    def as_dataset(self, batch_size: int) -> tf.data.Dataset:
        """Return the images and labels as a `tf.data.Dataset` of batches.

        Parameters
        ----------
        batch_size : int
            Images per batch; the last batch may be smaller.

        Returns
        -------
        tf.data.Dataset
            Pairs of images of shape (B, H, W, 1) and labels of shape (B, 1), both float32. Each
            image has the label of its unit.
        """
        import tensorflow as tf

        labels = np.repeat(self.labels, np.diff(self.first)).astype(np.float32)

        def batch(start: np.int64) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            rows = slice(int(start), int(start) + batch_size)
            return self.images[rows][..., None].astype(np.float32), labels[rows, None]

        def as_tensors(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, its_labels = tf.numpy_function(batch, [start], [tf.float32, tf.float32])
            images.set_shape((None, *self.images.shape[1:], 1))
            its_labels.set_shape((None, 1))
            return images, its_labels

        starts = tf.data.Dataset.range(0, len(self.images), batch_size)
        return starts.map(as_tensors).prefetch(tf.data.AUTOTUNE)


def extract(
    data: Path | str,
    cache_folder: Path | str,
    *,
    body_part: str | None = None,
    split: str = "train",
    seed: int = DEFAULT_SEED,
    square: Square = STANDARD_SQUARE,
    standardise: bool = True,
    shuffle_seed: int | None = None,
    by: str = "image",
    readers: Readers | None = None,
    reading: Reading | None = None,
) -> Extraction:
    """Return the images of a data set and their labels as arrays.

    Parameters
    ----------
    data : Path or str
        A folder of radiographs, or a CSV, as `mura_core.read_manifest` reads them.
    cache_folder : Path or str
        Folder in which the prepared images are cached.
    body_part : str, optional
        Body part to extract; all by default.
    split : {"train", "valid", "test"}
        Split to extract.
    seed : int
        Seed of the hold-out, for data without a split. A run with this `--seed` uses the same
        split.
    square : Square
        Size, interpolation and aspect-ratio handling of the resized images.
    standardise : bool
        Standardise the images with the mean and deviation image of the training images, of this
        body part if one is given.
    shuffle_seed : int, optional
        Seed for shuffling the units; by default they are in the manifest's order.
    by : {"image", "study", "patient_within_part", "patient"}
        Unit by which images are grouped.
    readers : mapping, optional
        Functions that read further file formats, by suffix, such as ".dcm"; by default those of the
        installed plugins.
    reading : Reading, optional
        The columns of a CSV, the labels that mean abnormal, and whether paths may lead outside.

    Returns
    -------
    Extraction

    Raises
    ------
    DataError
        The data set is missing or inconsistent, or no image can be read.
    UsageError
        `by` or `body_part` is unknown.

    Examples
    --------
    >>> elbow = extract("MURA-v1.1", "cache", body_part="elbow", by="study")  # doctest: +SKIP
    >>> elbow.unit(0).shape, elbow.labels[0]  # doctest: +SKIP
    ((3, 224, 224), 0)
    """
    if by not in LEVELS:
        raise UsageError(f"by={by!r} is not one of {', '.join(LEVELS)}")
    readers = installed_readers() if readers is None else readers
    manifest = read_manifest(Path(data), seed, readers=readers, reading=reading)
    # Prepare all body parts: they share one memory map.
    prepared = prepare(manifest, Path(cache_folder), square, readers=readers)
    if len(prepared.unreadable):
        log.warning(
            "Left out: %d of %d images can't be read: %s %s. The extraction's left_out lists all.",
            len(prepared.unreadable), len(manifest.table), *prepared.unreadable.iloc[0],
        )  # fmt: skip
    of_part = manifest.of([body_part] if body_part else []).table["body_part"].unique()
    table = prepared.table[prepared.table["body_part"].isin(of_part)]
    wanted = table[table["split"] == split]

    units = wanted.groupby(LEVELS[by], sort=False).ngroup().to_numpy()
    rank = np.arange(units.max() + 1 if len(units) else 0)
    if shuffle_seed is not None:
        rank = np.random.default_rng(shuffle_seed).permutation(rank)
    order = np.argsort(rank[units], kind="stable")
    rows = wanted.index.to_numpy()[order]
    units = rank[units][order]

    images: NDArray[np.uint8] | NDArray[np.float32] = _rows_of(prepared.images, rows)
    if standardise:
        training = table.index[table["split"] == "train"].to_numpy()
        images = standardise_images(images, statistics_of(prepared.images, training))
    first = np.searchsorted(units, np.arange(len(rank) + 1))
    labels = wanted["label"].to_numpy()[order]
    return Extraction(
        images,
        np.maximum.reduceat(labels, first[:-1]) if len(rows) else labels,
        first,
        wanted.iloc[order].reset_index(drop=True),
        prepared.left_out,
    )


def _rows_of(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    if len(rows) and (np.diff(rows) == 1).all():
        return images[rows[0] : rows[-1] + 1]
    return images[rows]
