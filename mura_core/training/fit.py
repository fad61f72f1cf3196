"""A network is built around its standardisation, and fitted."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from mura_core.errors import DataError, UsageError
from mura_core.progress import Progress
from mura_core.training.batches import training_batches
from mura_core.training.callback import EpochDone, Follow
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
    build: Callable[[], keras.Model],
    images: NDArray[np.uint8],
    table: pd.DataFrame,
    recipe: Recipe,
    *,
    class_weights: Mapping[int, float] | None,
    seed: int,
    strategy: tf.distribute.Strategy,
    folder: Path,
    pixels: str = "",
    boxes: NDArray[np.float32] | None = None,
    step_done: Progress | None = None,
    epoch_done: EpochDone | None = None,
) -> keras.Model:
    """Return a model fitted to the rows of `table` whose split is `train`.

    After every epoch `folder` holds the model (`model.keras`), the figures so far (`history.csv`)
    and what training goes on from (`checkpoint.npz`). Where there is such a checkpoint, it does.
    The `valid` rows are only looked at: nothing is chosen by them. Where the recipe lets a figure
    decide, it is measured on the `tune` rows.

    Parameters
    ----------
    build : callable
        Makes the model; called where its variables belong to the strategy's devices.
    images : ndarray of shape (N, H, W), uint8
    table : DataFrame
        One row an image: a manifest's columns.
    recipe : Recipe
    class_weights : mapping, optional
        Of the labels 0 and 1.
    seed : int
        Of the order of the images and of their augmentation.
    strategy : tf.distribute.Strategy
    folder : Path
    pixels : str
        A digest of the images; a checkpoint of others is refused.
    boxes : ndarray of shape (N, K, 4), float32, optional
        Where findings are, as `mura_core.heatmaps.finding_boxes` returns them. Used by networks
        with a cell map, if the recipe's `cell_loss` is above 0.
    step_done, epoch_done : callable, optional
        Called after each step and each epoch.

    Raises
    ------
    TrainingCollapsed
        After some epoch the network gives every image the same answer, or its loss isn't finite.
        `folder` then holds no checkpoint, and `history.csv` says so.
    DataError
        The checkpoint is of another network or other images.
    """
    split = table["split"].to_numpy()
    rows = {name: np.flatnonzero(split == name) for name in ("train", "tune", "valid")}
    labels = table["label"].to_numpy()
    batch_size = min(recipe.batch_size, len(rows["train"]) // recipe.accumulate)
    look_at_shares(batch_size, strategy.num_replicas_in_sync)
    # Whole groups of batches: what is left over sits the epoch out.
    steps = len(rows["train"]) // (batch_size * recipe.accumulate) * recipe.accumulate
    model, trained = compiled(
        build,
        recipe,
        steps,
        strategy,
        boxes_an_image=0 if boxes is None else boxes.shape[1],
        class_weights=class_weights,
    )
    learns_cells = len(trained.inputs) > 1 + bool(recipe.augment)
    follow = Follow(
        model,
        images,
        {name: (rows[name], labels[rows[name]]) for name in rows},
        recipe,
        folder,
        seed=seed,
        identity=_identity(table, pixels, boxes if learns_cells else None),
    )
    first_epoch = follow.go_on_from(trained.optimizer)
    batches = training_batches(
        images,
        rows["train"],
        labels[rows["train"]],
        batch_size=batch_size,
        steps=steps,
        epochs=recipe.epochs,
        seed=seed,
        first_epoch=first_epoch,
        with_numbers=bool(recipe.augment),
        boxes=boxes if learns_cells else None,
    )
    follow.step_done, follow.epoch_done = step_done, epoch_done
    if not follow.has_ended:
        follow.feed_images_per_second = feed_speed(batches, batch_size)
    follow.images_an_epoch = steps * batch_size
    if not follow.has_ended:
        trained.fit(
            batches,
            epochs=recipe.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=steps // recipe.accumulate,
            class_weight=dict(class_weights) if class_weights else None,
            callbacks=[follow],
            shuffle=False,
            verbose=0,
        )
    if recipe.keep == "best":
        model.load_weights(folder / "model.keras")
        log.info(
            "Kept the weights of epoch %d, the best by the %s of the training patients held out",
            follow.best_epoch, _WATCHED_NAMES[recipe.watch],
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


def _identity(table: pd.DataFrame, pixels: str, boxes: NDArray[np.float32] | None) -> str:
    """Return a digest of everything that a training learns from."""
    digest = hashlib.sha256(f"{table.to_csv()}{pixels}".encode())
    if boxes is not None:
        digest.update(boxes.tobytes())
    return digest.hexdigest()


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
