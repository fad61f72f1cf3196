"""Training images turned, mirrored, shifted and changed in contrast, anew in every epoch.

What happens to an image is decided by numbers that come with it, a function of the seed, the epoch
and the image's place in it alone: a run that is stopped and goes on augments as one that wasn't.
The work itself is part of the training step, so it is done on the device that trains.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mura_core.files import replacing

KINDS = ("flip", "rotate", "shift", "contrast")
NUMBERS = 5  # an image: mirrored or not, angle, shift down, shift across, contrast

_MOST_DEGREES = 30.0  # Rajpurkar et al. 2017, section 3.1, as is the flip
_MOST_SHIFT = 0.1  # of the side
_MOST_CONTRAST = 0.2


class Augmentation(keras.layers.Layer):
    """From raw images (B, H, W, 1) and numbers in [0, 1) (B, 5) to augmented images.

    Parameters
    ----------
    kinds : collection of str
        `flip` mirrors every second image left to right; `rotate` turns it by up to 30 degrees;
        `shift` moves it by up to a tenth of its side; `contrast` spreads its levels about their
        mean by a factor of 0.8 to 1.2. What comes into the picture is black.
    """

    def __init__(self, kinds: Collection[str], **options: Any) -> None:
        # Levels and numbers have more than 16 bits, whatever the network computes in.
        super().__init__(dtype="float32", **options)
        self.kinds = tuple(kinds)

    def call(self, inputs: Any) -> tf.Tensor:
        """Return the images, float32, levels 0 to 255."""
        images, numbers = inputs
        images = tf.cast(images, tf.float32)

        def spread(column: int, most: float, kind: str) -> tf.Tensor:
            # From [0, 1) to -most .. most, or 0 where the kind isn't asked for.
            return (2 * numbers[:, column] - 1) * (most if kind in self.kinds else 0.0)

        mirror = tf.where(numbers[:, 0] < 0.5, 1.0, -1.0 if "flip" in self.kinds else 1.0)
        down, across = spread(2, _MOST_SHIFT, "shift"), spread(3, _MOST_SHIFT, "shift")
        if "rotate" in self.kinds:
            angle = spread(1, np.deg2rad(_MOST_DEGREES), "rotate")
            images = _moved(images, mirror, angle, down, across)
        elif {"flip", "shift"} & set(self.kinds):
            images = _moved_upright(images, mirror, down, across)
        if "contrast" not in self.kinds:
            return images
        factor = 1 + spread(4, _MOST_CONTRAST, "contrast")[:, None, None, None]
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        return tf.clip_by_value(mean + factor * (images - mean), 0.0, 255.0)


def draw_numbers(count: int, *, seed: int, epoch: int) -> NDArray[np.float32]:
    """Return the numbers (count, 5), in [0, 1), that augment an epoch's images."""
    return np.random.default_rng((seed, epoch, 1)).random((count, NUMBERS), np.float32)


def write_contact_sheet(
    path: Path, images: NDArray[np.uint8], kinds: Collection[str], *, seed: int, variants: int = 5
) -> None:
    """Write a picture of some images, each beside what the first epochs make of it.

    Parameters
    ----------
    images : ndarray of shape (n, H, W), uint8
    """
    columns = [images]
    for epoch in range(variants):
        numbers = draw_numbers(len(images), seed=seed, epoch=epoch)
        augmented = Augmentation(kinds)([images[..., None], numbers])
        columns.append(np.rint(augmented.numpy()[..., 0]).astype(np.uint8))
    sheet = np.stack(columns, axis=1)  # (n, 1 + variants, H, W)
    sheet = np.pad(sheet, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=255)
    rows, across, height, width = sheet.shape
    picture = sheet.swapaxes(1, 2).reshape(rows * height, across * width)
    with replacing(path, "wb") as file:
        Image.fromarray(picture).save(file, format="PNG")


def _moved_upright(
    images: tf.Tensor, mirror: tf.Tensor, down: tf.Tensor, across: tf.Tensor
) -> tf.Tensor:
    """Return what `_moved` does without a turn, for a fifth of the cost: rows, then columns."""

    def sampled(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        # The rows (B, n, W) of images at positions (B, n), between a black row on either side.
        count = images.shape[1]
        positions = tf.clip_by_value(positions, -1.0, float(count))
        first = tf.minimum(tf.floor(positions), count - 1.0)
        share = (positions - first)[:, :, None]
        bordered = tf.pad(images, [[0, 0], [1, 1], [0, 0]])
        row = tf.cast(first + 1, tf.int32)
        upper, lower = (tf.gather(bordered, row + i, axis=1, batch_dims=1) for i in (0, 1))
        return upper * (1 - share) + lower * share

    height, width = images.shape[1], images.shape[2]
    rows = tf.range(height, dtype=tf.float32) - down[:, None] * height
    columns = tf.range(width, dtype=tf.float32) - (width - 1) / 2
    columns = mirror[:, None] * columns + (width - 1) / 2 - across[:, None] * width
    turned = tf.transpose(sampled(images[..., 0], rows), (0, 2, 1))
    return tf.transpose(sampled(turned, columns), (0, 2, 1))[..., None]


def _moved(
    images: tf.Tensor, mirror: tf.Tensor, angle: tf.Tensor, down: tf.Tensor, across: tf.Tensor
) -> tf.Tensor:
    """Return images turned about their centre, mirrored and shifted, by one bilinear sampling.

    Gathers rather than `ImageProjectiveTransformV3`: XLA compiles them, and then they cost half.
    """
    height, width = images.shape[1], images.shape[2]
    rows, columns = tf.meshgrid(
        tf.range(height, dtype=tf.float32) - (height - 1) / 2,
        tf.range(width, dtype=tf.float32) - (width - 1) / 2,
        indexing="ij",
    )
    cosine, sine = (part(angle)[:, None, None] for part in (tf.cos, tf.sin))
    x = mirror[:, None, None] * (cosine * columns - sine * rows) + (width - 1) / 2
    y = sine * columns + cosine * rows + (height - 1) / 2
    # A border of one black pixel is where everything outside is read.
    x = tf.clip_by_value(x - across[:, None, None] * width, -1.0, float(width))
    y = tf.clip_by_value(y - down[:, None, None] * height, -1.0, float(height))
    left, top = tf.minimum(tf.floor(x), width - 1.0), tf.minimum(tf.floor(y), height - 1.0)
    right_share, lower_share = x - left, y - top
    bordered = tf.pad(images[..., 0], [[0, 0], [1, 1], [1, 1]])
    pitch = width + 2
    flat = tf.reshape(bordered, (-1, (height + 2) * pitch))
    corner = tf.reshape(
        tf.cast(top + 1, tf.int32) * pitch + tf.cast(left + 1, tf.int32), (-1, height * width)
    )

    def level(offset: int) -> tf.Tensor:
        return tf.reshape(tf.gather(flat, corner + offset, batch_dims=1), (-1, height, width))

    upper = level(0) * (1 - right_share) + level(1) * right_share
    lower = level(pitch) * (1 - right_share) + level(pitch + 1) * right_share
    return (upper * (1 - lower_share) + lower * lower_share)[..., None]
