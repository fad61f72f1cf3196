"""Batches from the memory map."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def training_batches(
    images: NDArray[np.uint8],
    rows: NDArray[np.intp],
    labels: NDArray[np.integer],
    *,
    batch_size: int,
    epochs: int,
    seed: int,
) -> tf.data.Dataset:
    """Return the batches of all epochs, one after another.

    Each epoch has its own order, which depends on the seed and the epoch's number alone. The
    images left over when the epoch is cut into batches sit that epoch out: replicas that got
    fewer of them than others would weigh them wrongly.

    Parameters
    ----------
    images : ndarray of shape (N, H, W), uint8
        The memory map.
    rows : ndarray of shape (n,), int
        Which images train.
    labels : ndarray of shape (n,), int
        Of these rows: 1 abnormal, 0 normal.

    Returns
    -------
    tf.data.Dataset of (images (B, H, W, 1) uint8, labels (B, 1) float32)
    """
    steps = len(rows) // batch_size

    @lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((seed, epoch)).permutation(len(rows))

    def gather(step: np.int64) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        epoch, batch = divmod(int(step), steps)
        chosen = order(epoch)[batch * batch_size : (batch + 1) * batch_size]
        return images[rows[chosen]][..., None], labels[chosen, None].astype(np.float32)

    def as_tensors(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch, batch_labels = tf.numpy_function(gather, [step], [tf.uint8, tf.float32])
        batch.set_shape((batch_size, *images.shape[1:], 1))
        batch_labels.set_shape((batch_size, 1))
        return batch, batch_labels

    batches = tf.data.Dataset.range(steps * epochs).map(as_tensors, num_parallel_calls=2)
    return batches.prefetch(tf.data.AUTOTUNE)
