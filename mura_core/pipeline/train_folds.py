"""Train one network, or one per fold, each in its own folder.

If asked for, a second network is trained on shuffled labels. A pattern that heatmaps of both
networks share doesn't come from what was learned (Adebayo et al. 2018, arXiv:1810.03292).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import COLUMNS, PreparedImages, Training, part_rates, statistics_of
from mura_core.errors import DataError
from mura_core.evaluation import SAME_ANSWER
from mura_core.files import write_csv
from mura_core.imaging import load_statistics
from mura_core.progress import progress
from mura_core.runs import RunConfig, read_predictions, refuse_other_data, training_folder
from mura_core.training import TrainingCollapsed, history_table, read_history

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from mura_core.imaging import PixelStatistics

log = logging.getLogger("mura")

RESTARTS = 2  # most restarts of a training that collapsed, each from the next seed


@dataclass(frozen=True, eq=False)
class RunContext:
    """What all trainings of a run share.

    Attributes
    ----------
    config : RunConfig
        Settings of the run.
    prepared : PreparedImages
        The images.
    build : callable
        Takes pixel statistics, or None for no standardisation, and returns a new model.
    strategy : tf.distribute.Strategy
        Devices to train on.
    boxes : ndarray of shape (N, K, 4), float32, or None
        Boxes of findings in the prepared images, for networks that learn from them.
    """

    config: RunConfig
    prepared: PreparedImages
    build: Callable[[PixelStatistics | None], keras.Model]
    strategy: tf.distribute.Strategy
    boxes: NDArray[np.float32] | None = None


def train_each(trainings: list[Training], context: RunContext, folder: Path) -> None:
    """Train one model per fold, and predict the fold's validation images.

    Finished trainings are skipped. The predictions of all folds are then gathered in `folder`. A
    network trained on shuffled labels is written to `shuffled/` in the folder of its training.

    Parameters
    ----------
    trainings : list of Training
        One training, or one per fold. The rows of their tables are those of the prepared images.
    context : RunContext
        What the trainings share.
    folder : Path
        The run folder, or the folder of a seed.
    """
    for training in trainings:
        own = training_folder(folder, training.fold)
        if training.fold:
            log.info("\nFold %d of %d", training.fold, len(trainings))
        if _is_finished(training, own):
            log.info("Already trained: %s", own)
        else:
            own.mkdir(parents=True, exist_ok=True)
            _train(training, context, own)
        if context.config.shuffled_labels:
            _train_on_shuffled_labels(training, context, own)
    if len(trainings) > 1:
        _gather(trainings, folder)


def with_shuffled_labels(training: Training, *, seed: int) -> Training:
    """Return a training with permuted labels; validation images keep theirs.

    Labels are permuted per image within the training images, and within those held out for
    choices. Each group keeps its numbers of normal and abnormal images.

    Parameters
    ----------
    training : Training
        The training, which isn't changed.
    seed : int
        Random seed of the permutation.
    """
    random = np.random.default_rng([seed, training.fold])
    labels = training.table["label"].to_numpy(copy=True)
    for split in ("train", "tune"):
        rows = np.flatnonzero(training.table["split"] == split)
        labels[rows] = random.permutation(labels[rows])
    return Training(training.fold, training.table.assign(label=labels))


def _train(training: Training, context: RunContext, folder: Path) -> None:
    table, prepared, flip = training.table, context.prepared, context.config.average_flips
    split = table["split"]
    write_csv(folder / "splits.csv", table[[*COLUMNS, "split_by"]])
    seen = np.flatnonzero(split.isin(["train", "tune"]))
    statistics = statistics_of(prepared.images, seen)
    statistics.save(folder / "statistics.npz")
    model = _fit(training, statistics, context, folder)
    _forget_if_changed(prepared, folder)
    model.summary(expand_nested=True, print_fn=log.debug)
    if (split == "tune").any():
        tuning = _predict(model, prepared, training, "tune", flip=flip)
        write_csv(folder / "tuning.csv", tuning)
    # Written last: it marks a fold as finished, except for its shuffled labels.
    judged = _predict(model, prepared, training, "valid", flip=flip)
    prepared.refuse_changed()
    write_csv(folder / "predictions.csv", judged)


def _forget_if_changed(prepared: PreparedImages, folder: Path) -> None:
    """Remove a network that was trained on images that changed meanwhile, and raise an error."""
    try:
        prepared.refuse_changed()
    except DataError:
        for name in ("checkpoint.npz", "model.keras", "history.csv"):
            (folder / name).unlink(missing_ok=True)
        raise


def _train_on_shuffled_labels(training: Training, context: RunContext, folder: Path) -> None:
    own = folder / "shuffled"
    own.mkdir(exist_ok=True)
    shuffled = with_shuffled_labels(training, seed=context.config.seed)
    statistics = load_statistics(folder / "statistics.npz")  # they don't depend on labels
    log.info("\nTraining again on shuffled labels, as a baseline for the heatmaps")
    # Boxes would reveal which images are abnormal, whatever their shuffled labels.
    without_boxes = replace(context, boxes=None)
    _fit(shuffled, statistics, without_boxes, own, on=" on shuffled labels")


def _fit(
    training: Training,
    statistics: PixelStatistics,
    context: RunContext,
    folder: Path,
    on: str = "",
) -> keras.Model:
    """Return a trained network, from the first seed whose training doesn't collapse.

    Raises
    ------
    DataError
        If no training gave finite logits, or the first collapsed and the run doesn't restart.
    """
    import keras

    from mura_core.inference import load_model
    from mura_core.training import Job, TrainingData, fit_model

    config = context.config
    data = TrainingData(
        context.prepared.images,
        training.table,
        _class_weights(training.table, config),
        context.boxes,
        context.prepared.digest,
    )
    log.info(
        "Training %s%s for %d epochs on %d device(s)",
        config.model, on, config.epochs, context.strategy.num_replicas_in_sync,
    )  # fmt: skip
    collapsed = [row["collapse"] for row in read_history(folder) if row["collapse"]]
    for attempt in range(len(collapsed), RESTARTS + 1):
        # Initial weights and image order must not depend on earlier trainings or on labels.
        seed = config.seed + training.fold + attempt
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        try:
            with progress(f"Training{on}", "steps") as step_done:
                return fit_model(
                    lambda: context.build(statistics if config.standardise else None),
                    data,
                    config.recipe,
                    Job(folder, seed, context.strategy, step_done, partial(_say_epoch, on)),
                )
        except TrainingCollapsed as collapse:
            if not config.restart:
                raise
            collapsed.append(collapse.reason)
            log.warning(
                "Seed %d, %s.%s", seed, collapse,
                f" Training restarts from seed {seed + 1}." if attempt < RESTARTS else "",
            )  # fmt: skip
    if SAME_ANSWER not in collapsed[-1]:
        raise DataError(f"{collapsed[-1]}, from {len(collapsed)} seeds: lower --learning-rate")
    log.warning("Trained from %d seeds, but %s.", len(collapsed), SAME_ANSWER)
    return load_model(folder / "model.keras")


def _class_weights(table: pd.DataFrame, config: RunConfig) -> dict[int, float] | None:
    from mura_core.training import report_class_weights

    if config.class_weights == "none":
        return None
    labels = table["label"][table["split"] == "train"].to_numpy()
    exponent = 0.5 if config.class_weights == "root" else 1.0
    weights = report_class_weights(labels, config.false_positive_bias, exponent)
    log.info("Class weights: normal %.3f, abnormal %.3f", *weights.values())
    return weights


def _predict(
    model: keras.Model, prepared: PreparedImages, training: Training, judged: str, *, flip: bool
) -> pd.DataFrame:
    from mura_core.inference import predict_logits, probability

    rows = np.flatnonzero(training.table["split"] == judged)
    logits = predict_logits(model, prepared.images, rows, flip=flip)
    table = prepared.table.iloc[rows]
    return table.assign(
        fold=training.fold,
        logit=logits,
        probability=probability(logits),
        part_rate=part_rates(training.table, table["body_part"]),
    )


def _is_finished(training: Training, folder: Path) -> bool:
    if not (folder / "predictions.csv").is_file():
        return False
    refuse_other_data(folder, training.table)
    return True


def _gather(trainings: list[Training], folder: Path) -> None:
    """Write the predictions, histories and splits of all folds to the run folder."""
    folders = {training.fold: training_folder(folder, training.fold) for training in trainings}
    histories = [history_table(own).assign(fold=fold) for fold, own in folders.items()]
    write_csv(folder / "history.csv", pd.concat(histories))
    fold = sum(
        (training.table["split"] == "valid").astype(int) * training.fold for training in trainings
    )
    table = trainings[0].table.assign(fold=fold)
    table["split"] = table["split"].where(table["fold"] == 0, "train")
    write_csv(folder / "splits.csv", table[[*COLUMNS, "split_by", "fold"]])
    predictions = pd.concat([read_predictions(own) for own in folders.values()])
    order = predictions.set_index("path").loc[table["path"][table["fold"] > 0]].reset_index()
    write_csv(folder / "predictions.csv", order)


def _say_epoch(on: str, epoch: int, epochs: int, row: Mapping[str, float]) -> None:
    judged = ", ".join(
        f"{name.replace('val_', 'validation ').replace('auroc', 'AUROC')} {row[name]:.3f}"
        for name in ("loss", "accuracy", "tune_loss", "tune_auroc", "val_loss", "val_auroc")
        if name in row
    )
    log.info(
        "Epoch %d of %d%s: %s (%.0f images/s; the input pipeline alone gives %.0f)",
        epoch, epochs, on, judged, row["images_per_second"], row["feed_images_per_second"],
    )  # fmt: skip
