"""Learning where findings are: a loss on a network's cell map, from the training boxes.

A network with a layer named `cells` also gives a map (N, h, w, 1) of logits, one for each cell of
the image: does the cell lie in a finding? Where training images have boxes, the map learns from
them in addition to the image's own label, so a finding of a few pixels isn't drowned in the mean
over the image. Only training needs the boxes: the model stays a plain one from pixels to the
image's logit.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mura_core.training.augmentation import Augmentation

CELLS = "cells"  # the name of the layer

# How the boxes become the cells' labels, in sides of a cell. A finding's edge is uncertain.
_INSIDE = 0.25  # a cell is in a finding if its centre is this near to the box, or holds its middle
_NEAR = 1.25  # and isn't counted at all if it is this near and not inside
_INSIDE_WEIGHT = 7.0  # of a cell in a finding, of which there are few
_TOP_CELLS = 3
_TOP_WEIGHT = 0.3  # of the image's label learned from its highest cells


def has_cells(network: keras.Model) -> bool:
    """Return whether a network has a cell map to learn from boxes."""
    return any(layer.name == CELLS for layer in getattr(network, "layers", ()))


class CellLoss(keras.layers.Layer):
    """Passes the images' logits on, and adds the loss of the cell map.

    The loss is `weight` times the mean cross-entropy of the cells against the boxes, and the
    cross-entropy of the mean of the three highest cells against the image's label. An abnormal
    image without a box, or a normal one with a box, says nothing about single cells.

    Parameters
    ----------
    weight : float
    class_weights : tuple of float
        Of the labels 0 and 1.
    label_smoothing : float
        As of `keras.losses.BinaryCrossentropy`.
    size : int
        The side of the images, in pixels.
    augmentation : Augmentation, optional
        What moved the images.
    """

    def __init__(
        self,
        weight: float,
        class_weights: tuple[float, float],
        label_smoothing: float,
        size: int,
        augmentation: Augmentation | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dtype="float32", **options)
        self.weight, self.class_weights = weight, class_weights
        self.label_smoothing, self.size = label_smoothing, size
        self.augmentation = augmentation

    def call(self, inputs: Any) -> tf.Tensor:
        """Return the logits.

        Parameters
        ----------
        inputs : list of tensor
            Logits (B, 1); cells (B, h, w, 1); boxes (B, K, 4) as left, top, right and bottom in
            pixels of the image before it is moved, NaN where there are fewer; labels (B, 1); and,
            with an augmentation, its numbers (B, 7).
        """
        logits, cells, boxes, labels, *numbers = inputs
        cells = tf.cast(cells[..., 0], tf.float32)
        rows, columns = self._sources(cells.shape[1:], tf.shape(cells)[0], *numbers)
        has_box = tf.reduce_any(tf.math.is_finite(boxes), axis=(1, 2))
        says = tf.cast(has_box == (labels[:, 0] > 0.5), tf.float32)  # (B,)
        side = self.size / cells.shape[1]
        # However small a finding is, the cell that holds its middle is in it.
        inside = _within(boxes, rows, columns, _INSIDE * side, least=side / 2)
        near = _within(boxes, rows, columns, _NEAR * side, least=side)
        weights = tf.where(inside, _INSIDE_WEIGHT, tf.where(near, 0.0, 1.0)) * says[:, None, None]
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(inside, tf.float32), cells)
        self.add_loss(self.weight * tf.reduce_mean(weights * losses))
        every = tf.reshape(cells, (-1, cells.shape[1] * cells.shape[2]))
        highest, _ = tf.math.top_k(every, _TOP_CELLS)
        label = labels[:, 0]
        weight = tf.where(label > 0.5, self.class_weights[1], self.class_weights[0])
        target = label * (1 - self.label_smoothing) + self.label_smoothing / 2
        top = tf.nn.sigmoid_cross_entropy_with_logits(target, tf.reduce_mean(highest, axis=1))
        self.add_loss(_TOP_WEIGHT * tf.reduce_mean(weight * top))
        return logits

    def _sources(
        self, shape: tuple[int, int], count: tf.Tensor, numbers: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return where the cells' centres are in the images before they were moved, (B, h, w)."""
        height, width = shape
        rows, columns = tf.meshgrid(
            (tf.range(height, dtype=tf.float32) + 0.5) * (self.size / height) - 0.5,
            (tf.range(width, dtype=tf.float32) + 0.5) * (self.size / width) - 0.5,
            indexing="ij",
        )
        if self.augmentation is None or numbers is None:
            y, x = (tf.repeat(one[None], count, axis=0) for one in (rows, columns))
        else:
            motion = self.augmentation.motion(numbers)
            y, x = motion.sources(rows, columns, (self.size, self.size))
        return y + 0.5, x + 0.5  # pixel i's centre lies at i + 0.5 of a box's coordinates


def _within(
    boxes: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, margin: float, least: float
) -> tf.Tensor:
    """Return which points (B, h, w) lie in one of the boxes (B, K, 4), or near to it.

    In each direction a point counts if it is as near as `margin` to the box, or as `least` to the
    box's middle.
    """
    left, top, right, bottom = (boxes[:, :, None, None, side] for side in range(4))

    def along(position: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        reach = tf.maximum((last - first) / 2 + margin, least)
        # No comparison with NaN is true, so a box that isn't there holds nothing.
        return tf.abs(position[:, None] - (first + last) / 2) < reach

    return tf.reduce_any(along(rows, top, bottom) & along(columns, left, right), axis=1)
