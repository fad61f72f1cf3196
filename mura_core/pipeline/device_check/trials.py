"""Train a network for a few updates on one batch, and check its losses, memory and speed.

All steps use the same batch, because a float16 step whose gradients overflow is skipped. Its loss
can then be compared with the reference loss after the same number of updates. Dropout is switched
off, because several devices draw different masks than one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mura_core.imaging import Square, load_statistics
from mura_core.inference import strategy_on
from mura_core.pipeline.device_check.gpu_memory import Memory, memory_of, memory_outcome
from mura_core.pipeline.device_check.losses import Losses, compare_losses
from mura_core.pipeline.device_check.records import (
    FLOAT16,
    FLOAT32,
    SIXTEEN,
    TF32,
    TOLERANCES,
    Job,
    Outcome,
    Setting,
)
from mura_core.training import (
    AMOUNTS,
    Recipe,
    build_model,
    compiled,
    counter,
    feed_speed,
    training_batches,
)
from mura_plugins import NotApplicable, PluginError
from mura_plugins.manager import load_plugins, parse_options, resolve

_SEED = 2019
_RATE = 1e-3
_ROUNDS = 3  # of timing the training step and the input pipeline in turn


def train(job: Job, setting: Setting) -> list[Outcome]:
    """Return the outcomes of a training: its losses, and where they apply, memory and speed.

    Parameters
    ----------
    job : Job
        The network, and how to train it.
    setting : Setting
        The devices, and how much to do.
    """
    # TensorFloat-32 is on by default; its coarser rounding would hide errors of float32.
    tf.config.experimental.enable_tensor_float_32_execution(job.precision == TF32)
    trial = _Trial(job, setting)
    counted = trial.counted() if trial.is_counted else None
    with memory_of(trial.gpus) as memory:
        trial.start()
        seen = trial.updates(memory)
    subject = f"{job.ways}, {setting.called}"
    outcomes = [trial.judged(seen, subject)]
    if counted is not None:
        outcomes.append(memory_outcome(counted, memory, subject))
    learns = outcomes[0].status != "failed"
    if learns and not job.extra and job.precision != FLOAT16:
        outcomes.append(trial.timed(subject))
    return outcomes


def build(network: str, extra: str, folder: Path) -> keras.Model:
    """Return a new network with the phantoms' standardisation, without dropout.

    Parameters
    ----------
    network : str
        Name of the architecture.
    extra : str
        One of `EXTRAS`, or empty; `cells` adds a cell map.
    folder : Path
        Folder with `statistics.npz` of the phantoms.

    Raises
    ------
    NotApplicable
        If the architecture doesn't support a cell map that is asked for.
    """
    statistics = load_statistics(folder / "statistics.npz")
    builder, options = _builder(network, extra)
    model = build_model(builder, options, statistics, Square(len(statistics.mean)))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    return model


def reference_of(job: Job, folder: Path) -> Path:
    """Return the file of the reference training: losses, and weights before and after.

    Parameters
    ----------
    job : Job
        The training to compare.
    folder : Path
        Folder of the phantoms and the CPU's results.
    """
    return folder / f"{job.network.replace(':', '-')}-{job.extra or 'plain'}.npz"


def _builder(network: str, extra: str) -> tuple[Any, dict[str, Any]]:
    record = load_plugins().architecture(network)
    builder = resolve(record.build)
    if extra != "cells":
        return builder, {}
    try:
        return builder, parse_options(builder, ("cells=true",))
    except PluginError:
        raise NotApplicable(f"{network} has no cell map", "resnet18 has one") from None


class _Trial:
    """One way of training a network on the first images of the data."""

    def __init__(self, job: Job, setting: Setting) -> None:
        self._job, self._setting, self._folder = job, setting, Path(setting.folder)
        self._strategy = strategy_on(setting.devices)
        devices = [one.rpartition("device:")[2] for one in self._strategy.extended.worker_devices]
        self.gpus = [name for name in devices if name.startswith("GPU")]
        parts = 2 if job.extra == "accumulated" else 1
        self._recipe = Recipe(
            epochs=setting.updates,
            batch_size=setting.batch_size // parts,
            accumulate=parts,
            learning_rate=_RATE,
            schedule="constant",
            zero_logit=False,  # with zeros, only the head would learn in the first step
            mixed_precision=job.precision == SIXTEEN,
            rematerialise=job.extra == "recomputed",
            augment=tuple(AMOUNTS) if job.extra == "augmented" else (),
            jit="on" if job.xla else "off",
        )
        with np.load(self._folder / "data.npz") as data:
            taken = slice(setting.batch_size)
            self._images, self._labels = data["images"][taken], data["labels"][taken]
            self._boxes = data["boxes"][taken] if job.extra == "cells" else None

    @property
    def is_counted(self) -> bool:
        """Whether to report memory: on GPUs, and once on machines without any, as a remark."""
        if self.gpus:
            return self._job.precision != FLOAT16 and self._job.extra != "cells"
        plain = self._job == Job("training", self._job.network)
        return plain and self._is_reference and not tf.config.list_physical_devices("GPU")

    def counted(self) -> int:
        """Return the estimate of `mura-run plan` for each device, in bytes."""
        builder, options = _builder(self._job.network, self._job.extra)
        size = Square(self._images.shape[1])
        share = -(-self._recipe.batch_size // self._strategy.num_replicas_in_sync)
        return counter(builder, options, size)(self._recipe).of(share).total

    def start(self) -> None:
        """Build and compile the network, with the initial weights of the reference."""
        keras.utils.set_random_seed(_SEED)
        policy = keras.config.dtype_policy()
        if self._job.precision == FLOAT16:
            keras.config.set_dtype_policy("mixed_float16")
        try:
            self._model, self._trained = compiled(
                lambda: build(self._job.network, self._job.extra, self._folder),
                self._recipe,
                self._recipe.accumulate,
                self._strategy,
                boxes_an_image=0 if self._boxes is None else self._boxes.shape[1],
            )
        finally:
            keras.config.set_dtype_policy(policy)
        self._before = self._model.get_weights()
        if not self._is_reference:
            with np.load(_existing(reference_of(self._job, self._folder))) as reference:
                self._before = [reference[f"before{i}"] for i in range(len(self._before))]
            self._model.set_weights(self._before)

    def updates(self, memory: Memory) -> list[tuple[int, float]]:
        """Train, and return the number of updates before each step, and the step's loss."""
        losses = Losses(memory)
        self._trained.fit(
            self._batches(),
            epochs=self._recipe.epochs,
            steps_per_epoch=1,
            callbacks=[losses],
            shuffle=False,
            verbose=0,
        )
        if self._is_reference:
            weights = {f"before{i}": one for i, one in enumerate(self._before)}
            weights |= {f"after{i}": one for i, one in enumerate(self._model.get_weights())}
            # Not compressed, because it is only read a few times and then deleted.
            np.savez(
                reference_of(self._job, self._folder),
                allow_pickle=False,
                losses=np.array([loss for _, loss in losses.seen]),
                **weights,
            )
        return losses.seen

    def judged(self, seen: Sequence[tuple[int, float]], subject: str) -> Outcome:
        """Return the outcome of the losses."""
        expected = None
        if self._is_reference:
            subject += " (reference)"
        else:
            with np.load(reference_of(self._job, self._folder)) as reference:
                expected = reference["losses"].tolist()
        return compare_losses(
            seen,
            expected,
            TOLERANCES[self._job.precision],
            subject,
            # Each step augments the images differently, so that the loss may rise.
            falls=self._job.extra != "augmented",
        )

    def timed(self, subject: str) -> Outcome:
        """Return the speeds of the training step, on a cached batch, and of the input pipeline."""
        count = self._setting.batch_size
        one = self._batches().take(1).cache().repeat()
        steps = int(np.clip(self._setting.seconds / self._step_seconds(one, 3), 3, 500))
        step, feed = [], []
        for _ in range(_ROUNDS):
            step.append(count / self._step_seconds(one, steps))
            feed.append(feed_speed(self._batches(epochs=10_000), count))
        numbers = {"step": median(step), "feed": median(feed)}
        slow = numbers["feed"] < numbers["step"]
        return Outcome(
            "speed",
            subject,
            "passed",
            f"images per second: training step {numbers['step']:.0f}, input pipeline"
            f" {numbers['feed']:.0f}",
            "the input pipeline is slower: the device waits for images" if slow else "",
            numbers,
        )

    def _step_seconds(self, batches: tf.data.Dataset, steps: int) -> float:
        first = _FirstStep()
        self._trained.fit(
            batches, steps_per_epoch=steps, callbacks=[first], shuffle=False, verbose=0
        )
        # A GPU may still be computing when a step returns, but not when `fit` does.
        return (time.perf_counter() - first.ended) / (steps - 1)

    def _batches(self, epochs: int = 0) -> tf.data.Dataset:
        return training_batches(
            self._images,
            np.arange(len(self._images)),
            self._labels,
            batch_size=self._recipe.batch_size,
            steps=self._recipe.accumulate,
            epochs=epochs or self._recipe.epochs,
            seed=_SEED,
            with_numbers=bool(self._recipe.augment),
            boxes=self._boxes,
        )

    @property
    def _is_reference(self) -> bool:
        exact = self._job.precision == FLOAT32 and not self._job.xla
        return self._setting.is_reference and exact


class _FirstStep(keras.callbacks.Callback):
    """Records when the first step ended; until then, training starts up."""

    ended = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.ended = self.ended or time.perf_counter()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotApplicable("there is no training on the CPU to compare with", "See its line")
    return path
