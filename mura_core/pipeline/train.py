"""The step that trains the networks of a run."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from mura_core.data import Manifest, count, installed_readers, trainings
from mura_core.errors import DataError
from mura_core.evaluation import parse_rule
from mura_core.files import write_csv
from mura_core.heatmaps import finding_boxes
from mura_core.pipeline.data import (
    open_data,
    prepare_images,
    say_counts,
    warn_of_failures,
)
from mura_core.pipeline.explained import network_to_explain, refuse_unknown_images
from mura_core.runs import (
    RunConfig,
    new_run_folder,
    parse_seeds,
    refuse_other_pixels,
    refuse_used_folder,
    write_config,
    write_environment,
)
from mura_plugins.manager import Plugins, load_plugins, parse_options, resolve

_AUGMENTED_IMAGES = 6  # on the contact sheet


def train_run(
    config: RunConfig, folder: Path, plugins: Plugins | None = None, *, resume: bool = False
) -> None:
    """Prepare the images, train a model, or one a fold and seed, and predict the judged images.

    Writes `config.yaml`, `environment.json`, `counts.csv`, `left_out.csv`, `splits.csv`,
    `statistics.npz`, `augmented.png`, `history.csv`, `model.keras`, `checkpoint.npz`, `tuning.csv`
    and `predictions.csv`, those of folds below `folds/`, those of several seeds below `seeds/`, and
    below `shuffled/` what a network on shuffled labels leaves. Where it resumes a run, it goes on
    from the last checkpoint.
    """
    plugins = plugins or load_plugins()
    warn_of_failures(plugins)
    if not resume:
        refuse_used_folder(folder)
    architecture = plugins.architecture(config.model)
    rule = parse_rule(config.operating_point)
    parse_seeds(config.seeds, config.seed)
    readers = installed_readers(plugins)
    manifest = open_data(config.data, config.body_part, config.seed, config.validate, readers)
    say_counts(config.data, manifest)
    _refuse_missing_split(manifest, config.validate)
    if config.explain:
        refuse_unknown_images(config.explain_images, manifest.table["path"])

    from mura_core.inference import gpu_memory, start_tensorflow, strategy_on

    start_tensorflow(config.seed, deterministic=config.deterministic)

    from mura_core.pipeline.train_folds import RunContext
    from mura_core.pipeline.train_seeds import train_from_each_seed
    from mura_core.training import (
        build_model,
        counter,
        parse_kinds,
        refuse_untrainable,
        uses_xla,
        warn_if_too_large,
        write_contact_sheet,
    )

    # Whatever can be refused is refused before the images are read.
    refuse_untrainable(manifest.table)
    parse_kinds(config.augment)
    build = resolve(architecture.build)
    options = parse_options(build, config.options)
    strategy = strategy_on(config.devices)
    network = build_model(build, options, None, config.square)
    if config.explain:
        network_to_explain(network, config.layer)
    # What `auto` means here is kept in config.yaml, so that the run can be repeated elsewhere.
    config = replace(config, jit="on" if uses_xla(config.jit, strategy, network) else "off")
    del network  # its weights would stay in the GPU's memory
    memory = gpu_memory(strategy)
    if memory is not None:
        warn_if_too_large(
            counter(build, options, config.square),
            config.recipe,
            memory,
            strategy.num_replicas_in_sync,
        )
    with nullcontext() if resume else new_run_folder(folder):
        if not resume:
            write_config(folder / "config.yaml", config)
        prepared = prepare_images(manifest, config, readers)
        pixels = prepared.digest
        if resume:
            refuse_other_pixels(folder, pixels)
        write_environment(folder / "environment.json", pixels)
        write_csv(folder / "counts.csv", count(prepared.table))
        write_csv(folder / "left_out.csv", prepared.left_out)
        divided = trainings(
            prepared.table,
            config.validate,
            proportion=config.proportion,
            folds=config.folds,
            seed=config.seed,
            # With folds, the other folds' predictions are there to choose an operating point by.
            tunes=config.recipe.watches
            or (config.validate != "kfold" and (rule.is_chosen or config.calibrate != "none")),
        )
        for training in divided:
            refuse_untrainable(training.table)
        if config.augment:
            rows = np.flatnonzero(divided[0].table["split"] == "train")[:_AUGMENTED_IMAGES]
            write_contact_sheet(
                folder / "augmented.png", prepared.images[rows], config.augment, seed=config.seed
            )
        boxes = None
        if config.cell_loss:
            boxes = finding_boxes(manifest, prepared, config.square, readers)
        context = RunContext(
            config,
            prepared,
            lambda statistics: build_model(build, options, statistics, config.square),
            strategy,
            boxes,
        )
        train_from_each_seed(divided, context, folder)


def _refuse_missing_split(manifest: Manifest, validate: str) -> None:
    for split in ("train", "valid") if validate == "split" else ("train",):
        if not (manifest.table["split"] == split).any():
            raise DataError(f"{manifest.folder}: the data has no {split} images")
