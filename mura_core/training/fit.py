"""Fit a network, epoch by epoch, from its last checkpoint on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.errors import DataError, UsageError
from mura_core.training.batches import training_batches
from mura_core.training.checkpoint import load_checkpoint
from mura_core.training.data import Job, TrainingData
from mura_core.training.epoch_end import EpochEnd, Pace, variables_of
from mura_core.training.model import compiled
from mura_core.training.settings import Recipe

log = logging.getLogger("mura")

_WATCHED_NAMES = {"loss": "loss", "auroc": "AUROC"}
_FEED_SECONDS = 0.3  # for which the feed's speed is measured


def refuse_untrainable(table: pd.DataFrame) -> None:
    """Raise a DataError unless there are training images of both labels."""
    labels = table["label"][table["split"] == "train"]
    if labels.nunique() < 2:
        raise DataError(
            f"the {len(labels)} training images are all of one label; a network needs both"
        )


def report_class_weights(
    labels: NDArray[np.integer], false_positive_bias: float = 0.0, exponent: float = 1.0
) -> dict[int, float]:
    """Return class weights in the 2019 report's ratio, whose mean over the images is 1.

    With N normal and P abnormal training images the report's weights are 1 + P/N for normal ones
    and 1 + (N + b)/P for abnormal ones, where a bias b above 0 trades false negatives for false
    positives. Scaled to a mean of 1, they leave the training loss comparable to the validation
    loss, which isn't weighted.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        Of the training images: 1 abnormal, 0 normal; there are both.
    false_positive_bias : float
        The report's b.
    exponent : float
        The report's ratio is taken to this power: 0.5 for its square root.

    Returns
    -------
    dict
        The weights of the labels 0 and 1.
    """
    abnormal = int(np.sum(labels))
    normal = len(labels) - abnormal
    report = {0: 1 + abnormal / normal, 1: 1 + (normal + false_positive_bias) / abnormal}
    weights = {label: weight**exponent for label, weight in report.items()}
    mean = (normal * weights[0] + abnormal * weights[1]) / len(labels)
    return {label: weight / mean for label, weight in weights.items()}


def fit_model(
    build: Callable[[], keras.Model], data: TrainingData, recipe: Recipe, job: Job
) -> keras.Model:
    """Return a model fitted to the training images.

    After every epoch the job's folder holds the model (`model.keras`), the figures so far
    (`history.csv`) and a checkpoint (`checkpoint.npz`), from which the same call goes on. The
    `valid` images are only looked at: nothing is chosen by them.

    Parameters
    ----------
    build : callable
        Makes the model; called where its variables belong to the strategy's devices.
    data : TrainingData
    recipe : Recipe
    job : Job

    Raises
    ------
    TrainingCollapsed
        After some epoch the network gives every image the same answer, or its loss isn't finite.
        The folder then holds no checkpoint, and `history.csv` says so.
    DataError
        The checkpoint is of another network or other images.
    """
    rows = data.rows("train")
    batch_size = min(recipe.batch_size, len(rows) // recipe.accumulate)
    look_at_shares(batch_size, job.strategy.num_replicas_in_sync)
    # Whole groups of batches: what is left over sits the epoch out.
    steps = len(rows) // (batch_size * recipe.accumulate) * recipe.accumulate
    model, trained = compiled(
        build,
        recipe,
        steps,
        job.strategy,
        boxes_an_image=0 if data.boxes is None else data.boxes.shape[1],
        class_weights=data.class_weights,
    )
    learns_cells = len(trained.inputs) > 1 + bool(recipe.augment)
    identity = f"{data.identity(with_boxes=learns_cells)} {job.seed}"
    variables = variables_of(model, trained.optimizer)
    state = load_checkpoint(job.folder / "checkpoint.npz", variables, identity)
    if len(state.history) < recipe.epochs and not state.watched.stops(recipe):
        batches = training_batches(
            data.images,
            rows,
            data.labels("train"),
            batch_size=batch_size,
            steps=steps,
            epochs=recipe.epochs,
            seed=job.seed,
            first_epoch=len(state.history),
            with_numbers=bool(recipe.augment),
            boxes=data.boxes if learns_cells else None,
        )
        pace = Pace(steps * batch_size, feed_speed(batches, batch_size))
        epoch_end = EpochEnd(model, trained.optimizer, data, recipe, job, state, identity, pace)
        trained.fit(
            batches,
            epochs=recipe.epochs,
            initial_epoch=len(state.history),
            steps_per_epoch=steps // recipe.accumulate,
            class_weight=dict(data.class_weights) if data.class_weights else None,
            callbacks=[epoch_end],
            shuffle=False,
            verbose=0,
        )
        state = epoch_end.state
    if recipe.keep == "best":
        model.load_weights(job.folder / "model.keras")
        log.info(
            "Kept the weights of epoch %d, the best by the %s of the training patients held out",
            len(state.history) - state.watched.without_better, _WATCHED_NAMES[recipe.watch],
        )  # fmt: skip
    return model


def look_at_shares(batch_size: int, devices: int) -> None:
    """Warn where devices can't share batches evenly.

    Raises
    ------
    UsageError
        A batch has fewer images than there are devices.
    """
    if batch_size < devices:
        raise UsageError(
            f"--batch-size: batches of {batch_size} can't be shared by {devices} devices; take"
            f" batches of {devices}, or fewer --devices"
        )
    if batch_size % devices:
        log.warning(
            "Batches of %d aren't shared evenly by %d devices: images of smaller shares count for"
            " more. Better is --batch-size %d",
            batch_size, devices, -(-batch_size // devices) * devices,
        )  # fmt: skip


def feed_speed(batches: tf.data.Dataset, batch_size: int) -> float:
    """Return how many images a second the feed gives when nothing waits for it."""
    started = time.perf_counter()
    count = 0
    for count, _ in enumerate(batches, start=1):
        if count == 1:
            started = time.perf_counter()  # what comes before is starting up
        elif time.perf_counter() - started > _FEED_SECONDS:
            break
    return (count - 1) * batch_size / max(time.perf_counter() - started, 1e-9)
