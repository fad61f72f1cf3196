"""The data and the settings of one training."""

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
        One row per image, with the columns of a manifest. The model is fitted to the rows of the
        split `train`. Those of `tune` are used for choices such as early stopping; those of
        `valid` are only evaluated.
    class_weights : mapping, optional
        Weights of the labels 0 and 1.
    boxes : ndarray of shape (N, K, 4), float32, optional
        Boxes of findings, as returned by `mura_core.heatmaps.finding_boxes`. Used by networks with
        a cell map if the recipe's `cell_loss` is above 0.
    digest : str
        Digest of the images.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame
    class_weights: Mapping[int, float] | None = None
    boxes: NDArray[np.float32] | None = None
    digest: str = ""

    def rows(self, split: str) -> NDArray[np.intp]:
        """Return the row numbers of a split: `train`, `tune` or `valid`."""
        return np.flatnonzero(self.table["split"] == split)

    def labels(self, split: str) -> NDArray[np.integer]:
        """Return the labels of a split, 1 abnormal and 0 normal, in the order of `rows`."""
        return self.table["label"].to_numpy()[self.rows(split)]

    def identity(self, *, with_boxes: bool) -> str:
        """Return a digest of the table, the images and optionally the boxes.

        Parameters
        ----------
        with_boxes : bool
            Whether the boxes are included, because the network is trained on them.
        """
        known = f"{self.table.to_csv()}{self.digest}"
        digest = hashlib.sha256(known.encode(errors="backslashreplace"))
        if with_boxes and self.boxes is not None:
            digest.update(self.boxes.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Job:
    """Output folder, seed, devices and callbacks of one training.

    Attributes
    ----------
    folder : Path
        Output folder of the model, its history and its checkpoint.
    seed : int
        Seed of the order of the images and of their augmentation. `history.csv` keeps the epochs
        of earlier seeds whose training collapsed.
    strategy : tf.distribute.Strategy
        Devices to train on.
    step_done : callable, optional
        Called after each step with the number of steps done and the total.
    epoch_done : callable, optional
        Called after each epoch with its number, the number of epochs and its row of `history.csv`.
    """

    folder: Path
    seed: int
    strategy: tf.distribute.Strategy
    step_done: Progress | None = None
    epoch_done: EpochDone | None = None
