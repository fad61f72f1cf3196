"""Gradient accumulation: average gradients over several batches before each weight update.

Keras' own `gradient_accumulation_steps` decides inside the training step whether to apply the
gradients, which TensorFlow can't do across devices (`merge_call` in a `tf.cond`). Here computing
and applying gradients are separate functions, and the decision is made in Python. One device is
treated like several, so that their results agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf


class AccumulatingModel(keras.Model):
    """A model that updates its weights once every `accumulate` batches.

    The result is that of one large batch, except for batch normalisation, which uses the statistics
    of each small batch. Set `accumulate` before calling `compile`.
    """

    accumulate = 1
    gradients: list[tf.Variable]  # sum so far for each trainable weight

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Add the gradients of one batch to the sums and return its metrics."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            # Already divided by the number of replicas, since their gradients are added later.
            loss = self.compute_loss(x, y, predicted, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        for total, gradient in zip(self.gradients, gradients, strict=True):
            total.assign_add(gradient / self.accumulate)
        self.metrics[0].update_state(loss * self.distribute_strategy.num_replicas_in_sync)
        return self.compute_metrics(x, y, predicted, sample_weight)

    def make_train_function(self, force: bool = False) -> None:
        """Create the function that Keras calls for each step."""
        if self.train_function is not None and not force:
            return
        strategy = self.distribute_strategy
        with strategy.scope():
            self.gradients = [
                tf.Variable(
                    tf.zeros(weight.shape, weight.dtype),
                    trainable=False,
                    # Each replica has its own sum; the optimizer adds them up.
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                for weight in self.trainable_weights
            ]

        add = tf.function(
            lambda data: strategy.run(self.train_step, args=(data,)),
            reduce_retracing=True,
            jit_compile=self.jit_compile,
        )
        move = tf.function(lambda: strategy.run(self.move_weights))

        def train_function(iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
            logs: dict[str, Any] = {}
            for _ in range(self.accumulate):
                logs = add(next(iterator))
            move()
            return {
                name: strategy.experimental_local_results(value)[0] for name, value in logs.items()
            }

        self.train_function: Callable[..., Any] = train_function

    def move_weights(self) -> None:
        """Apply the accumulated gradients and reset the sums to zero."""
        pairs = zip(self.gradients, self.trainable_weights, strict=True)
        self.optimizer.apply_gradients([(total.read_value(), weight) for total, weight in pairs])
        for total in self.gradients:
            total.assign(tf.zeros_like(total))
