"""Batches from the memory map."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.training.augmentation import NUMBERS, draw_numbers


def training_batches(
    images: NDArray[np.uint8],
    rows: NDArray[np.intp],
    labels: NDArray[np.integer],
    *,
    batch_size: int,
    steps: int,
    epochs: int,
    seed: int,
    first_epoch: int = 0,
    with_numbers: bool = False,
    boxes: NDArray[np.float32] | None = None,
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
    steps : int
        Batches an epoch.
    first_epoch : int
        The epoch, counted from 0, that the batches begin with.
    with_numbers : bool
        Whether the numbers by which images are augmented come with them.
    boxes : ndarray of shape (N, K, 4), float32, optional
        Where findings are; the boxes and labels then come with the images.

    Returns
    -------
    tf.data.Dataset of (images (B, H, W, 1) uint8, labels (B, 1) float32). The images are the first
    of a tuple where more is wanted: numbers (B, 7), boxes (B, K, 4) and labels (B, 1), float32.
    """

    @lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((seed, epoch)).permutation(len(rows))

    @lru_cache(maxsize=2)
    def numbers_of(epoch: int) -> NDArray[np.float32]:
        return draw_numbers(len(rows), seed=seed, epoch=epoch)

    def gather(step: np.int64) -> tuple[NDArray[Any], ...]:
        epoch, batch = divmod(int(step), steps)
        taken = slice(batch * batch_size, (batch + 1) * batch_size)
        chosen = order(epoch)[taken]
        batch_labels = labels[chosen, None].astype(np.float32)
        parts: list[NDArray[Any]] = [images[rows[chosen]][..., None]]
        if with_numbers:
            parts.append(numbers_of(epoch)[taken])
        if boxes is not None:
            parts += [boxes[rows[chosen]], batch_labels]
        return (*parts, batch_labels)

    shapes = [(*images.shape[1:], 1)]
    shapes += [(NUMBERS,)] if with_numbers else []
    shapes += [boxes.shape[1:], (1,)] if boxes is not None else []
    shapes.append((1,))

    def as_tensors(step: tf.Tensor) -> tuple[Any, tf.Tensor]:
        types = [tf.uint8] + [tf.float32] * (len(shapes) - 1)
        *inputs, batch_labels = tf.numpy_function(gather, [step], types)
        for tensor, shape in zip([*inputs, batch_labels], shapes, strict=True):
            tensor.set_shape((batch_size, *shape))
        return (inputs[0] if len(inputs) == 1 else tuple(inputs)), batch_labels

    steps_in_turn = tf.data.Dataset.range(first_epoch * steps, epochs * steps)
    return steps_in_turn.map(as_tensors, num_parallel_calls=2).prefetch(tf.data.AUTOTUNE)
