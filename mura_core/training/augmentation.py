"""Training images mirrored, moved and changed in their levels, differently in every epoch.

What happens to an image is decided by numbers that come with it, a function of the seed, the epoch
and the image's place in it alone: a run that is stopped and goes on augments as one that wasn't.
The work itself is part of the training step, so it is done on the device that trains.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mura_core.errors import UsageError
from mura_core.files import replacing

# What each kind does at most, where `kind=amount` doesn't say.
AMOUNTS = {
    "flip": 1.0,
    "rotate": 30.0,  # degrees; Rajpurkar et al. 2017, section 3.1, as is the flip
    "shift": 0.1,  # of the side
    "zoom": 0.15,
    "contrast": 0.2,
    "brightness": 0.1,  # of the range of levels
}
NUMBERS = (
    7  # an image: mirrored or not, angle, shift down, shift across, contrast, zoom, brightness
)

_RANGE = 255.0  # of levels


def parse_kinds(kinds: Collection[str]) -> dict[str, float]:
    """Return how much each kind of augmentation changes an image at most.

    Parameters
    ----------
    kinds : collection of str
        Such as `flip` or `rotate=15`.

    Raises
    ------
    UsageError
        There is no such kind, or its amount isn't a number above 0.
    """
    amounts: dict[str, float] = {}
    for text in kinds:
        kind, equals, amount = text.partition("=")
        if kind not in AMOUNTS:
            raise UsageError(f"--augment {kind!r} is not one of {', '.join(AMOUNTS)}")
        try:
            amounts[kind] = float(amount) if equals else AMOUNTS[kind]
        except ValueError:
            amounts[kind] = 0.0
        if not 0 < amounts[kind] <= max(1.0, 180.0 * (kind == "rotate")):
            most = "180" if kind == "rotate" else "1"
            raise UsageError(f"--augment {text!r}: expected {kind}=NUMBER above 0, {most} at most")
    return amounts


class Augmentation(keras.layers.Layer):
    """From raw images (B, H, W, 1) and numbers in [0, 1) (B, 7) to augmented images.

    Parameters
    ----------
    kinds : collection of str
        `flip` mirrors every second image left to right; `rotate` turns it by up to 30 degrees;
        `shift` moves it by up to a tenth of its side; `zoom` scales it by a factor of 0.85 to 1.15;
        `contrast` spreads its levels about their mean by a factor of 0.8 to 1.2; `brightness` adds
        up to a tenth of the range to them, or takes it off. `rotate=15` and the like set other
        amounts. Pixels from outside the image are black.
    """

    def __init__(self, kinds: Collection[str], **options: Any) -> None:
        # Levels and numbers have more than 16 bits, whatever the network computes in.
        super().__init__(dtype="float32", **options)
        self.amounts = parse_kinds(kinds)

    def call(self, inputs: Any) -> tf.Tensor:
        """Return the images, float32, levels 0 to 255."""
        images, numbers = inputs
        images = tf.cast(images, tf.float32)
        motion = self.motion(numbers)
        if "rotate" in self.amounts:
            images = _moved(images, motion)
        elif {"flip", "shift", "zoom"} & set(self.amounts):
            images = _moved_upright(images, motion)
        if not {"contrast", "brightness"} & set(self.amounts):
            return images
        factor = 1 + self._spread(numbers, 4, "contrast")[:, None, None, None]
        added = _RANGE * self._spread(numbers, 6, "brightness")[:, None, None, None]
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        return tf.clip_by_value(mean + factor * (images - mean) + added, 0.0, _RANGE)

    def motion(self, numbers: tf.Tensor) -> Motion:
        """Return how the images with these numbers are moved."""
        flips = "flip" in self.amounts
        return Motion(
            mirror=tf.where(numbers[:, 0] < 0.5, 1.0, -1.0 if flips else 1.0),
            angle=self._spread(numbers, 1, "rotate") * np.float32(np.pi / 180),
            down=self._spread(numbers, 2, "shift"),
            across=self._spread(numbers, 3, "shift"),
            zoom=1 + self._spread(numbers, 5, "zoom"),
        )

    def _spread(self, numbers: tf.Tensor, column: int, kind: str) -> tf.Tensor:
        # From [0, 1) to plus or minus the kind's amount, or 0 where it isn't asked for.
        return (2 * numbers[:, column] - 1) * np.float32(self.amounts.get(kind, 0.0))


@dataclass(frozen=True)
class Motion:
    """How each image of a batch is moved; tensors of shape (B,).

    Attributes
    ----------
    mirror : tensor
        -1 where it is mirrored left to right, else 1.
    angle : tensor
        Radians.
    down, across : tensor
        Shares of the side.
    zoom : tensor
        Above 1 enlarges.
    """

    mirror: tf.Tensor
    angle: tf.Tensor
    down: tf.Tensor
    across: tf.Tensor
    zoom: tf.Tensor

    def sources(
        self, rows: tf.Tensor, columns: tf.Tensor, size: tuple[int, int]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return where in the original image the pixels of the moved one come from.

        Parameters
        ----------
        rows, columns : tensor of shape (h, w)
            Positions in the moved image; pixel i's centre is at i.
        size : tuple of int
            The image's height and width.

        Returns
        -------
        rows, columns : tensor of shape (B, h, w)
        """
        height, width = size
        down, across = rows - (height - 1) / 2, columns - (width - 1) / 2

        def each(one: tf.Tensor) -> tf.Tensor:
            return one[:, None, None]

        cosine, sine = each(tf.cos(self.angle) / self.zoom), each(tf.sin(self.angle) / self.zoom)
        x = each(self.mirror) * (cosine * across - sine * down)
        y = sine * across + cosine * down
        return (
            y + (height - 1) / 2 - each(self.down) * height,
            x + (width - 1) / 2 - each(self.across) * width,
        )


def draw_numbers(count: int, *, seed: int, epoch: int) -> NDArray[np.float32]:
    """Return the numbers (count, 7), in [0, 1), that augment an epoch's images."""
    return np.random.default_rng((seed, epoch, 1)).random((count, NUMBERS), np.float32)


def write_contact_sheet(
    path: Path, images: NDArray[np.uint8], kinds: Collection[str], *, seed: int, variants: int = 5
) -> None:
    """Write a picture of some images, each next to its augmented versions in the first epochs.

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


def _moved_upright(images: tf.Tensor, motion: Motion) -> tf.Tensor:
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
    # Without a turn, rows come from rows and columns from columns.
    rows, _ = motion.sources(tf.range(height, dtype=tf.float32)[:, None], 0.0, (height, width))
    _, columns = motion.sources(0.0, tf.range(width, dtype=tf.float32)[None], (height, width))
    turned = tf.transpose(sampled(images[..., 0], rows[:, :, 0]), (0, 2, 1))
    return tf.transpose(sampled(turned, columns[:, 0]), (0, 2, 1))[..., None]


def _moved(images: tf.Tensor, motion: Motion) -> tf.Tensor:
    """Return images turned about their centre, scaled, mirrored and shifted, sampled bilinearly.

    Gathers rather than `ImageProjectiveTransformV3`: XLA compiles them, and then they cost half.
    """
    height, width = images.shape[1], images.shape[2]
    rows, columns = tf.meshgrid(
        tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32), indexing="ij"
    )
    y, x = motion.sources(rows, columns, (height, width))
    # A border of one black pixel is where everything outside is read.
    x = tf.clip_by_value(x, -1.0, float(width))
    y = tf.clip_by_value(y, -1.0, float(height))
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
