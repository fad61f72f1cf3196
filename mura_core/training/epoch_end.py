"""Evaluate the model after each epoch, apply the recipe's decisions and save a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.files import write_csv
from mura_core.inference import predict_logits
from mura_core.training.checkpoint import TrainingState, save_checkpoint, save_model
from mura_core.training.collapse import TrainingCollapsed, collapse_reason, least_active_layer
from mura_core.training.data import Job, TrainingData
from mura_core.training.history import read_history
from mura_core.training.policy import Decision, decide
from mura_core.training.settings import Recipe

_WATCHED_FOR_COLLAPSE = 32  # training images of each label


@dataclass(frozen=True)
class Pace:
    """Numbers needed to report the training speed.

    Attributes
    ----------
    images_an_epoch : int
        Number of images in an epoch.
    feed_images_per_second : float
        Speed of the input pipeline without training.
    """

    images_an_epoch: int
    feed_images_per_second: float


class EpochEnd(keras.callbacks.Callback):
    """Callback that evaluates and saves a model after each epoch.

    Parameters
    ----------
    judged : keras.Model
        The model to evaluate and save, from raw images to logits. The fitted model contains it.
    optimizer : keras.optimizers.Optimizer
    data : TrainingData
    recipe : Recipe
    job : Job
    state : TrainingState
        State at the start of this call, such as the one loaded from a checkpoint.
    identity : str
        Digest of the training data and the seed, saved in the checkpoint.
    pace : Pace
    """

    def __init__(
        self,
        judged: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        data: TrainingData,
        recipe: Recipe,
        job: Job,
        state: TrainingState,
        identity: str,
        pace: Pace,
    ) -> None:
        super().__init__()
        self._judged, self._optimizer = judged, optimizer
        self._data, self._recipe, self._job = data, recipe, job
        self._identity, self._pace = identity, pace
        self._earlier = [row for row in read_history(job.folder) if row["seed"] != job.seed]
        self._sample = _of_both_labels(data.rows("train"), data.labels("train"))
        self._started = 0.0
        self.state = state

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record the start time of the epoch."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report progress."""
        if self._job.step_done:
            steps, epochs = self.params["steps"], self.params["epochs"]
            done = len(self.state.history) * steps + batch + 1
            self._job.step_done(done, epochs * steps)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Evaluate the model, write the history and save the model and a checkpoint."""
        row = self._row(epoch, logs or {}, time.perf_counter() - self._started)
        history = (*self.state.history, row)
        self._write_history(history)
        if row["collapse"]:
            # A collapsed training can't be resumed. The model is kept for inspection.
            (self._job.folder / "checkpoint.npz").unlink(missing_ok=True)
            save_model(self._judged, self._job.folder / "model.keras")
            raise TrainingCollapsed(row["epoch"], row["collapse"])
        decision = Decision(self.state.watched, is_best=False)
        if self._recipe.watches:
            figure = row[f"tune_{self._recipe.watch}"]
            decision = decide(self._recipe, self.state.watched, figure)
        if decision.rate_factor != 1:
            self._optimizer.learning_rate.assign(row["learning_rate"] * decision.rate_factor)
        if decision.is_best or self._recipe.keep == "last":
            save_model(self._judged, self._job.folder / "model.keras")
        self.state = TrainingState(history, decision.watched)
        # Last, so that everything the checkpoint refers to is already on disk.
        save_checkpoint(
            self._job.folder / "checkpoint.npz",
            variables_of(self._judged, self._optimizer),
            self.state,
            self._identity,
        )
        if self._job.epoch_done:
            self._job.epoch_done(epoch + 1, self.params["epochs"], row)
        if decision.watched.stops(self._recipe):
            self.model.stop_training = True

    def _row(self, epoch: int, logs: Mapping[str, float], seconds: float) -> dict[str, Any]:
        """Return the row of `history.csv` for the epoch."""
        row: dict[str, Any] = {"seed": self._job.seed, "epoch": epoch + 1, **logs}
        total, row["loss"] = row["loss"], row.pop("image_loss")
        if any(layer.name == "cell_loss" for layer in self.model.layers):
            row["cell_loss"] = total - row["loss"]
        row |= self._judge("tune", "tune") | self._judge("valid", "val")
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))
        row["seconds"] = seconds
        row["images_per_second"] = self._pace.images_an_epoch / seconds
        row["feed_images_per_second"] = self._pace.feed_images_per_second
        logits = predict_logits(self._judged, self._data.images, self._sample)
        least_active = least_active_layer(self._judged, self._data.images[self._sample])
        row["least_active_share"] = least_active.share if least_active else np.nan
        row["least_active_layer"] = least_active.layer if least_active else ""
        row["collapse"] = collapse_reason(logits, least_active, row["loss"]) or ""
        return row

    def _judge(self, split: str, prefix: str) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        rows, labels = self._data.rows(split), self._data.labels(split)
        if len(rows) == 0:
            return {}
        logits = predict_logits(self._judged, self._data.images, rows).astype(np.float64)
        if not np.isfinite(logits).all():
            return {f"{prefix}_loss": np.nan, f"{prefix}_auroc": np.nan}
        # For a logit z: log(1 + exp(-z)) for an abnormal image, log(1 + exp(z)) for a normal one.
        losses = np.logaddexp(0, np.where(labels == 1, -logits, logits))
        both = len(np.unique(labels)) == 2
        return {
            f"{prefix}_loss": float(losses.mean()),
            f"{prefix}_auroc": float(roc_auc_score(labels, logits)) if both else np.nan,
        }

    def _write_history(self, history: tuple[dict[str, Any], ...]) -> None:
        write_csv(self._job.folder / "history.csv", pd.DataFrame([*self._earlier, *history]))


def variables_of(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Return all variables that a training step changes.

    Parameters
    ----------
    model : keras.Model
        Its variables include the state of the random number generators of dropout layers, which
        `model.weights` doesn't.
    optimizer : keras.optimizers.Optimizer
    """
    return [*model.variables, *optimizer.variables]


def _of_both_labels(rows: NDArray[np.intp], labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return up to 32 evenly spaced rows of each label, with the labels alternating."""
    chosen = []
    for label in (0, 1):
        own = rows[labels == label]
        places = np.linspace(0, len(own) - 1, min(len(own), _WATCHED_FOR_COLLAPSE)).astype(int)
        chosen += list(zip(range(len(places)), own[places], strict=True))
    return np.array([row for _, row in sorted(chosen)], np.intp)
