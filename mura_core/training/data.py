"""What a training learns from, and where and how it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.progress import Progress

if TYPE_CHECKING:
    import tensorflow as tf

# Called after each epoch with its number, the number of epochs, and its row of history.csv.
EpochDone = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images with their labels and splits.

    Attributes
    ----------
    images : ndarray of shape (N, H, W), uint8
    table : DataFrame
        A row an image: a manifest's columns. The rows of the split `train` are learned from, those
        of `tune` decide what the recipe leaves to a figure, those of `valid` are only judged.
    class_weights : mapping, optional
        Of the labels 0 and 1.
    boxes : ndarray of shape (N, K, 4), float32, optional
        Where findings are, as `mura_core.heatmaps.finding_boxes` returns them. Used by networks
        with a cell map, if the recipe's `cell_loss` is above 0.
    digest : str
        Of the images.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame
    class_weights: Mapping[int, float] | None = None
    boxes: NDArray[np.float32] | None = None
    digest: str = ""

    def rows(self, split: str) -> NDArray[np.intp]:
        """Return the rows of a split."""
        return np.flatnonzero(self.table["split"] == split)

    def labels(self, split: str) -> NDArray[np.integer]:
        """Return the labels of a split's rows: 1 abnormal, 0 normal."""
        return self.table["label"].to_numpy()[self.rows(split)]

    def identity(self, *, with_boxes: bool) -> str:
        """Return a digest of everything that a training learns from.

        Parameters
        ----------
        with_boxes : bool
            Whether it learns from the boxes.
        """
        digest = hashlib.sha256(f"{self.table.to_csv()}{self.digest}".encode())
        if with_boxes and self.boxes is not None:
            digest.update(self.boxes.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Job:
    """Where a network is trained, from which seed, and who is told.

    Attributes
    ----------
    folder : Path
        Where the model, its history and its checkpoint are written.
    seed : int
        Of the order of the images and of their augmentation. `history.csv` keeps the epochs of
        earlier seeds, which collapsed.
    strategy : tf.distribute.Strategy
    step_done, epoch_done : callable, optional
        Called after each step and each epoch.
    """

    folder: Path
    seed: int
    strategy: tf.distribute.Strategy
    step_done: Progress | None = None
    epoch_done: EpochDone | None = None
