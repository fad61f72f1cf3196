"""Predict the logits of a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.errors import RadiographError
from mura_core.imaging import ImageTraits, Readers, Square, stream_images
from mura_core.progress import Progress

_BATCH = 32


def predict_logits(
    model: keras.Model,
    images: NDArray[np.uint8],
    rows: NDArray[np.intp],
    *,
    flip: bool = False,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the logits for 'abnormal' of selected images.

    Parameters
    ----------
    model : keras.Model
        From images (N, H, W, 1) to logits (N, 1).
    images : ndarray of shape (N, H, W), uint8
        May be a memory map.
    rows : ndarray of shape (n,), int
        Indices of the images.
    flip : bool
        Whether to average the probabilities of each image and its left-right mirror image.
    progress : callable, optional
        Called with the number of images done and the total.

    Returns
    -------
    ndarray of shape (n,), float32
    """
    if flip:
        views = [images, images[:, :, ::-1]]
        votes = [predict_logits(model, view, rows, progress=progress) for view in views]
        return mean_logit(np.stack(votes, axis=1)).astype(np.float32)
    traced = _traced(model)
    logits = np.empty(len(rows), np.float32)
    # A smaller last batch would be traced and compiled again, so it is padded instead.
    batch = np.zeros((_BATCH, *images.shape[1:], 1), np.uint8)
    for start in range(0, len(rows), _BATCH):
        chosen = rows[start : start + _BATCH]
        batch[: len(chosen), ..., 0] = images[chosen]
        logits[start : start + len(chosen)] = traced(batch).numpy()[: len(chosen)]
        if progress:
            progress(start + len(chosen), len(rows))
    return logits


@lru_cache(maxsize=1)
def _traced(model: keras.Model) -> Callable[[NDArray[np.uint8]], tf.Tensor]:
    # Cached between calls: tracing takes longer than predicting a few hundred images.
    return tf.function(lambda batch: model(batch, training=False)[:, 0])


@dataclass(eq=False)
class Squares:
    """Image files, read and resized to squares.

    Attributes
    ----------
    images : ndarray of shape (n, size, size), uint8
        A memory map, so that peak memory doesn't grow with the number of images.
    paths : list of Path
        The n files that could be read.
    left_out : list of RadiographError
        The errors of the other files.
    traits : list of ImageTraits
        The traits of the n files as they were read.
    """

    images: NDArray[np.uint8]
    paths: list[Path]
    left_out: list[RadiographError]
    traits: list[ImageTraits]


def read_squares(
    paths: Sequence[Path], square: Square, readers: Readers, progress: Progress
) -> Squares:
    """Read image files and resize them to squares, stored in a temporary file.

    Parameters
    ----------
    paths : sequence of Path
    square : Square
        The size, and how images are resized to it.
    readers : mapping
        Functions for additional file suffixes.
    progress : callable
        Called with the number of files done and the total.
    """
    read: list[Path] = []
    left_out: list[RadiographError] = []
    traits: list[ImageTraits | None] = []
    images_read = stream_images(paths, square, readers=readers, on_traits=traits.append)
    results = zip(paths, images_read, strict=True)
    with TemporaryFile() as file:
        for done, (path, result) in enumerate(results, start=1):
            if isinstance(result, RadiographError):
                left_out.append(result)
            else:
                # With `write` a full disk raises an error; with a memory map it crashes.
                file.write(result.tobytes())
                read.append(path)
            progress(done, len(paths))
        file.flush()
        images: NDArray[np.uint8] = np.empty((0, square.size, square.size), np.uint8)
        if read:
            images = np.memmap(file, np.uint8, "r", shape=(len(read), *images.shape[1:]))
    return Squares(images, read, left_out, [one for one in traits if one is not None])


def mean_logit(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logit of the mean probability, accurate even if probabilities round to 1.

    Parameters
    ----------
    logits : ndarray of shape (n, votes)
        Logits of each image, such as one per network or view.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    votes = logits.astype(np.float64)
    if votes.shape[1] == 1:
        return votes[:, 0]
    # The logarithms of the sums of 1/(1 + exp(-z)) and of 1/(1 + exp(z)).
    abnormal = np.logaddexp.reduce(-np.logaddexp(0, -votes), axis=1)
    normal = np.logaddexp.reduce(-np.logaddexp(0, votes), axis=1)
    return np.asarray(abnormal - normal, np.float64)


def probability(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probability of 'abnormal' for each logit, without overflow.

    Parameters
    ----------
    logits : ndarray

    Returns
    -------
    ndarray of the same shape, float64
    """
    from scipy.special import expit

    return expit(np.asarray(logits, np.float64))
