"""Run an explainer on any number of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from mura_core.progress import Progress
from mura_plugins.network import Network

# An explainer's function, as `mura_plugins.Explainer` describes it.
Explain = Callable[..., NDArray[np.float32]]


_BATCH = 8  # small, so that slow methods report progress often


def evidence(
    explain: Explain,
    networks: Mapping[int, Network],
    images: NDArray[np.generic],
    folds: NDArray[np.integer] | None = None,
    *,
    toward: int,
    seed: int,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return an explainer's raw maps of any number of images, computed in small batches.

    Parameters
    ----------
    explain : callable
        The explainer's function, as described by `mura_plugins.Explainer`.
    networks : dict of Network
        The network of each fold.
    images : ndarray of shape (N, H, W)
        Grey levels, 0 to 255.
    folds : ndarray of shape (N,), int, optional
        The fold whose network explains each image; by default 0 for all.
    toward : {1, -1}
        Explain evidence for 'abnormal' (1) or against it (-1).
    seed : int
        Random seed, passed to the explainer.
    progress : callable, optional
        Called with the number of explained images and their total.

    Returns
    -------
    ndarray of shape (N, h, w), float32
        A memory map of a temporary file.
    """
    folds = np.zeros(len(images), int) if folds is None else folds
    maps: NDArray[np.float32] | None = None
    done = 0
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            found = explain(networks[fold], images[batch], toward=toward, seed=seed)
            if maps is None:
                # On disk, since full-resolution maps of thousands of images take gigabytes.
                with TemporaryFile() as file:
                    shape = (len(images), *found.shape[1:])
                    maps = np.memmap(file, np.float32, "w+", shape=shape)
            maps[batch] = found
            done += len(batch)
            if progress:
                progress(done, len(images))
    assert maps is not None, "no images to explain"
    return maps
