"""Train a network, resuming from its last checkpoint."""

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
_FEED_SECONDS = 0.3  # how long the speed of the input pipeline is measured


def refuse_untrainable(table: pd.DataFrame) -> None:
    """Raise an error if the training images don't have both labels.

    Parameters
    ----------
    table : DataFrame
        Manifest with the columns `split` and `label`.

    Raises
    ------
    DataError
        All training images have the same label, or there are none.
    """
    labels = table["label"][table["split"] == "train"]
    if labels.nunique() < 2:
        raise DataError(
            f"the {len(labels)} training images don't have both labels, normal and abnormal"
        )


def refuse_too_few(table: pd.DataFrame, recipe: Recipe) -> None:
    """Raise an error if the training images make fewer batches than are accumulated.

    Parameters
    ----------
    table : DataFrame
        Manifest with the column `split`.
    recipe : Recipe

    Raises
    ------
    UsageError
        An epoch would have no update of the weights.
    """
    images = int((table["split"] == "train").sum())
    batches = max(1, images // recipe.batch_size)
    if recipe.accumulate > batches:
        raise UsageError(
            f"--accumulate {recipe.accumulate} is more than the {batches}"
            f" {'batch' if batches == 1 else 'batches'} of {recipe.batch_size} that the {images}"
            f" training images make; use at most {batches}, or a smaller --batch-size"
        )


def refuse_unwatchable(table: pd.DataFrame, recipe: Recipe) -> None:
    """Raise a DataError if the held-out images can't give the figure that epochs are compared by.

    Parameters
    ----------
    table : DataFrame
        One row per image, with the columns `label` and `split`.
    recipe : Recipe
    """
    labels = table["label"][table["split"] == "tune"]
    if recipe.watches and recipe.watch == "auroc" and labels.nunique() < 2:
        raise DataError(
            f"the {len(labels)} images of the training patients held out to compare epochs by all"
            " have the same label, so they have no AUROC: use --watch loss, or more patients"
        )


def report_class_weights(
    labels: NDArray[np.integer], false_positive_bias: float = 0.0, exponent: float = 1.0
) -> dict[int, float]:
    """Return class weights in the ratio of the 2019 report, with a mean of 1 over the images.

    With N normal and P abnormal training images the report's weights are 1 + P/N for normal ones
    and 1 + (N + b)/P for abnormal ones, where a bias b above 0 trades false negatives for false
    positives. Scaling to a mean of 1 keeps the training loss comparable to the validation loss,
    which isn't weighted.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        Labels of the training images, 1 abnormal and 0 normal; both must occur.
    false_positive_bias : float
        The report's b.
    exponent : float
        Power to which the weights are raised, such as 0.5 for their square root.

    Returns
    -------
    dict
        Weights of the labels 0 and 1.
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

    After every epoch the model (`model.keras`), the history (`history.csv`) and a checkpoint
    (`checkpoint.npz`) are saved to the job's folder. The same call resumes from the checkpoint.
    The `valid` images are evaluated after every epoch, but no choice depends on the result.

    Parameters
    ----------
    build : callable
        Returns the model. It is called in the strategy's scope, so that the variables are created
        on its devices.
    data : TrainingData
    recipe : Recipe
    job : Job

    Returns
    -------
    keras.Model
        With the weights of the last epoch, or of the best one if `recipe.keep` is "best".

    Raises
    ------
    TrainingCollapsed
        After an epoch the network gives every image the same answer, or its loss isn't finite.
        The folder then holds no checkpoint, and `history.csv` gives the reason.
    UsageError
        A batch has fewer images than there are devices.
    DataError
        The checkpoint belongs to a different network or to different images.
    """
    rows = data.rows("train")
    batch_size = min(recipe.batch_size, len(rows) // recipe.accumulate)
    look_at_shares(batch_size, job.strategy.num_replicas_in_sync)
    # Whole groups of batches: the remaining images are left out of the epoch.
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
            "Kept the weights of epoch %d, which has the best %s on the held-out training patients",
            len(state.history) - state.watched.without_better, _WATCHED_NAMES[recipe.watch],
        )  # fmt: skip
    return model


def look_at_shares(batch_size: int, devices: int) -> None:
    """Warn if batches can't be split evenly across devices.

    Parameters
    ----------
    batch_size : int
        Number of images in a batch.
    devices : int
        Number of devices that share it.

    Raises
    ------
    UsageError
        A batch has fewer images than there are devices.
    """
    if batch_size < devices:
        raise UsageError(
            f"--batch-size: batches of {batch_size} can't be split across {devices} devices; use"
            f" batches of at least {devices}, or fewer --devices"
        )
    if batch_size % devices:
        log.warning(
            "Batches of %d can't be split evenly across %d devices, so images in smaller shares"
            " weigh more. Use --batch-size %d",
            batch_size, devices, -(-batch_size // devices) * devices,
        )  # fmt: skip


def feed_speed(batches: tf.data.Dataset, batch_size: int) -> float:
    """Return the speed of the input pipeline without training, in images per second.

    Parameters
    ----------
    batches : tf.data.Dataset
        Read for 0.3 seconds after the first batch.
    batch_size : int
        Number of images in a batch.
    """
    started = time.perf_counter()
    count = 0
    for count, _ in enumerate(batches, start=1):
        if count == 1:
            started = time.perf_counter()  # exclude the start-up time
        elif time.perf_counter() - started > _FEED_SECONDS:
            break
    return (count - 1) * batch_size / max(time.perf_counter() - started, 1e-9)
