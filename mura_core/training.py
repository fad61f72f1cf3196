"""A network is built around its standardisation, and fitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.feed import training_batches
from mura_core.files import temporary_sibling, write_csv
from mura_core.prediction import predict_logits
from mura_core.progress import Progress
from mura_core.resizing import Square
from mura_core.statistics import PixelStatistics

# Called after each epoch with its number, the number of epochs, and its row of history.csv.
EpochDone = Callable[[int, int, Mapping[str, float]], None]


def build_model(
    build: Callable[..., keras.Model],
    options: Mapping[str, Any],
    statistics: PixelStatistics | None,
    square: Square,
) -> keras.Model:
    """Return an architecture behind a first layer that standardises raw pixels.

    The layer is Keras' own `Normalization`, so that the saved model is a plain Keras model from
    pixel values 0..255 to the logit, and needs nothing beside its file. The name of its input says
    how images become squares (see `square_of`).

    Parameters
    ----------
    build : callable
        An architecture's builder.
    options : mapping
        Its keyword arguments.
    statistics : PixelStatistics, optional
        Of the training images, of shape (size, size). Without them pixels go in as they are.
    square : Square
        What images become before they are the network's.

    Raises
    ------
    DataError
        The architecture doesn't end in one logit an image.
    """
    size = square.size
    inputs = keras.Input((size, size, 1), name=f"pixels_{square.method}_{square.fit}")
    standardisation = keras.layers.Normalization(
        axis=(1, 2, 3), dtype="float32", name="standardisation"
    )
    # Keras says that this layer can't be compiled by XLA, since its statistics may be plain
    # NumPy arrays; here they are weights.
    standardisation.supports_jit = True
    standardised = standardisation(inputs)
    if statistics is not None:
        # A pixel that never varied divides by infinity and gives 0, as `standardise` does.
        deviation = np.where(statistics.deviation > 0, statistics.deviation, np.inf)
        standardisation.adapt_mean.assign(statistics.mean[..., None])
        standardisation.adapt_variance.assign(deviation[..., None] ** 2)
    else:
        standardisation.adapt_mean.assign(np.zeros((size, size, 1)))
        standardisation.adapt_variance.assign(np.ones((size, size, 1)))
    standardisation.finalize_state()
    network = build((size, size, 1), **options)
    if network.output_shape != (None, 1):
        raise DataError(
            f"{network.name}: its output has the shape {network.output_shape}; one logit an"
            " image, (None, 1), is wanted"
        )
    return keras.Model(inputs, network(standardised), name="mura")


def refuse_untrainable(table: pd.DataFrame) -> None:
    """Raise a DataError unless there are training images of both labels."""
    labels = table["label"][table["split"] == "train"]
    if labels.nunique() < 2:
        raise DataError(
            f"the {len(labels)} training images are all of one label; a network needs both"
        )


def report_class_weights(
    labels: NDArray[np.integer], false_positive_bias: float = 0.0
) -> dict[int, float]:
    """Return the 2019 report's class weights.

    With N normal and P abnormal training images: 1 + P/N for normal ones, 1 + (N + b)/P for
    abnormal ones, where a bias b above 0 trades false negatives for false positives.
    """
    abnormal = int(np.sum(labels))
    normal = len(labels) - abnormal
    return {0: 1 + abnormal / normal, 1: 1 + (normal + false_positive_bias) / abnormal}


def fit(
    build: Callable[[], keras.Model],
    images: NDArray[np.uint8],
    table: pd.DataFrame,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    class_weights: Mapping[int, float] | None,
    seed: int,
    jit: str,
    strategy: tf.distribute.Strategy,
    folder: Path,
    step_done: Progress | None = None,
    epoch_done: EpochDone | None = None,
) -> keras.Model:
    """Return a model fitted to the rows of `table` whose split is `train`.

    After every epoch `folder` holds the model (`model.keras`) and the figures so far
    (`history.csv`). The `valid` rows are only looked at: nothing is chosen by them.

    Parameters
    ----------
    build : callable
        Makes the model; called where its variables belong to the strategy's devices.
    images : ndarray of shape (N, H, W), uint8
    table : DataFrame
        One row an image, with `label` and `split`.
    jit : {"auto", "on", "off"}
        Whether XLA compiles the training step: automatically, on a single CPU.

    Raises
    ------
    DataError
        The training diverged.
    """
    rows = {split: np.flatnonzero(table["split"] == split) for split in ("train", "valid")}
    labels = {split: table["label"].to_numpy()[rows[split]] for split in rows}
    batch_size = min(batch_size, len(rows["train"]))
    with strategy.scope():
        model = build()
        if strategy.num_replicas_in_sync > 1:
            _synchronise_normalisation(model)
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
            jit_compile=_use_xla(jit, strategy),
        )
    batches = training_batches(
        images, rows["train"], labels["train"], batch_size=batch_size, epochs=epochs, seed=seed
    )
    follow = _Follow(images, rows["valid"], labels["valid"], batch_size, folder)
    follow.step_done, follow.epoch_done = step_done, epoch_done
    model.fit(
        batches,
        epochs=epochs,
        steps_per_epoch=len(rows["train"]) // batch_size,
        class_weight=dict(class_weights) if class_weights else None,
        callbacks=[follow],
        shuffle=False,
        verbose=0,
    )
    return model


def _use_xla(jit: str, strategy: tf.distribute.Strategy) -> bool:
    if jit != "auto":
        return jit == "on"
    # On a CPU the small networks of the report train up to 1.4 times as fast. On GPUs it is
    # untried, and across devices Keras' step can't be compiled.
    return strategy.num_replicas_in_sync == 1 and not tf.config.list_logical_devices("GPU")


def _synchronise_normalisation(model: keras.Model) -> None:
    # Otherwise each replica would keep statistics of its own, and the first one's be saved.
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


class _Follow(keras.callbacks.Callback):
    """After each epoch, judge the validation images, and save the model and the history."""

    step_done: Progress | None = None
    epoch_done: EpochDone | None = None

    def __init__(
        self,
        images: NDArray[np.uint8],
        rows: NDArray[np.intp],
        labels: NDArray[np.integer],
        batch_size: int,
        folder: Path,
    ) -> None:
        super().__init__()
        self._images, self._rows, self._labels = images, rows, labels
        self._batch_size, self._folder = batch_size, folder
        self._history: list[dict[str, float]] = []
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.step_done:
            steps = self.params["steps"]
            self.step_done(len(self._history) * steps + batch + 1, self.params["epochs"] * steps)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        seconds = time.perf_counter() - self._started
        row = {"epoch": epoch + 1, **(logs or {})} | self._validation()
        row["seconds"] = seconds
        row["images_per_second"] = self.params["steps"] * self._batch_size / seconds
        self._history.append(row)
        write_csv(self._folder / "history.csv", pd.DataFrame(self._history))
        save_model(self.model, self._folder / "model.keras")
        if self.epoch_done:
            self.epoch_done(epoch + 1, self.params["epochs"], row)

    def _validation(self) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        if len(self._rows) == 0:
            return {}
        logits = predict_logits(self.model, self._images, self._rows).astype(np.float64)
        if not np.isfinite(logits).all():
            raise DataError(
                "the training diverged: its logits are not finite. Lower the learning rate."
            )
        # Of a logit z: log(1 + exp(-z)) for an abnormal image, log(1 + exp(z)) for a normal one.
        losses = np.logaddexp(0, np.where(self._labels == 1, -logits, logits))
        both = len(np.unique(self._labels)) == 2
        return {
            "val_loss": float(losses.mean()),
            "val_auroc": float(roc_auc_score(self._labels, logits)) if both else np.nan,
        }


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file in the place of an older one, whole or not at all."""
    temporary = temporary_sibling(path)
    try:
        model.save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
