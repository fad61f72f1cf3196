"""One run, from a folder of radiographs to a report, in a run folder.

Each step reads what the step before it left in the folder, so that every one can be taken again
on its own: `train`, `evaluate`, `explain`, `write_report`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mura_core.data import (
    open_data,
    plugin_readers,
    prepare_images,
    register_layers,
    say_counts,
    warn_of_failures,
)
from mura_core.errors import DataError
from mura_core.explaining import explain, methods
from mura_core.files import replacing, write_csv
from mura_core.judging import evaluate
from mura_core.manifest import Manifest, count
from mura_core.operating_point import parse_rule
from mura_core.regions import finding_boxes
from mura_core.run_folder import (
    PHANTOMS,
    RunConfig,
    config_of,
    make_run_folder,
    parse_seeds,
    refuse_other_pixels,
    write_config,
    write_environment,
)
from mura_core.splits import trainings
from mura_plugins import RunSummary
from mura_plugins.manager import Plugins, load_plugins, parse_options, resolve

log = logging.getLogger("mura")

_AUGMENTED_IMAGES = 6  # on the contact sheet


# The steps ------------------------------------------------------------------------------------


def run(config: RunConfig, folder: Path, *, resume: bool = False) -> None:
    """Train, judge and explain, and write the report."""
    plugins = load_plugins()
    methods(plugins, config.explain)  # what isn't there is said before anything else
    train(config, folder, plugins, resume=resume)
    evaluate(folder)
    if config.explain:
        explain(folder, plugins)
    write_report(folder)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for failure in plugins.tell_finished(RunSummary(folder, config.model, metrics)):
        log.warning(
            "The plugin %r of %s failed when told of the run: %s",
            failure.plugin, failure.distribution, failure.reason,
        )  # fmt: skip
    log.info("Report: %s", folder / "report.html")


def train(
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
    architecture = plugins.architecture(config.model)
    rule = parse_rule(config.operating_point)
    parse_seeds(config.seeds, config.seed)
    manifest = open_data(config.data, config.body_part, config.seed, config.validate)
    say_counts(config.data, manifest)
    _refuse_missing_split(manifest, config.validate)

    from mura_core.devices import gpu_memory, start_tensorflow, strategy_on

    start_tensorflow(config.seed, deterministic=config.deterministic)

    from mura_core.augmentation import write_contact_sheet
    from mura_core.planning import counter, warn_if_too_large
    from mura_core.seeds import train_from_each_seed
    from mura_core.training import build_model, refuse_untrainable, uses_xla

    # Whatever can be refused is refused before the images are read.
    build = resolve(architecture.build)
    options = parse_options(build, config.options)
    strategy = strategy_on(config.devices)
    network = build_model(build, options, None, config.square)
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
    if not resume:
        make_run_folder(folder)
        write_config(folder / "config.yaml", config)
    prepared = prepare_images(manifest, config, plugin_readers(plugins))
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
        boxes = finding_boxes(manifest, prepared, config.square, plugin_readers(plugins))
    train_from_each_seed(
        divided,
        prepared,
        config,
        lambda statistics: build_model(build, options, statistics, config.square),
        strategy,
        folder,
        boxes,
    )


def plan(config: RunConfig, gpu_memory: int) -> str:
    """Return what a run's training would take of a GPU, and what to do about it, as text.

    Parameters
    ----------
    gpu_memory : int
        Bytes.
    """
    from mura_core.devices import start_tensorflow

    start_tensorflow(config.seed)

    from mura_core.planning import plan_as_text

    return plan_as_text(_memory_counter(config), config.recipe, gpu_memory)


def fit_into(config: RunConfig, gpu_memory: int) -> RunConfig:
    """Return a run's settings, changed as little as its training needs to fit each GPU."""
    from mura_core.devices import start_tensorflow, strategy_on

    start_tensorflow(config.seed)

    from mura_core.planning import fitted, flags

    replicas = strategy_on(config.devices).num_replicas_in_sync
    recipe = fitted(_memory_counter(config), config.recipe, gpu_memory, replicas)
    log.info("Planned: %s", flags(recipe))
    return replace(config, **asdict(recipe))


def _memory_counter(config: RunConfig) -> Any:
    from mura_core.planning import counter

    build = resolve(load_plugins().architecture(config.model).build)
    return counter(build, parse_options(build, config.options), config.square)


def export(model_file: Path, path: Path, file_format: str) -> None:
    """Write a saved model in another program's format, and say what goes in and comes out."""
    from mura_core.devices import start_tensorflow

    start_tensorflow(seed=0)

    from mura_core.exporting import export_model
    from mura_core.prediction import load_model, square_of

    register_layers(load_plugins())
    model = load_model(model_file)
    square = square_of(model)
    export_model(model, path, file_format)
    log.info(
        "Wrote %s: from grey images (N, %d, %d, 1) of levels 0 to 255, resized by %s, fitted by %s,"
        " to logits (N, 1)",
        path, square.size, square.size, square.method, square.fit,
    )  # fmt: skip


def write_report(folder: Path) -> None:
    """Write `report.html` from what else the run folder holds."""
    from mura_core.report import report_page

    page = report_page(folder, phantoms=config_of(folder).data == PHANTOMS)
    with replacing(folder / "report.html") as file:
        file.write(page)


def what_is_safe(folder: Path | None) -> str:
    """Return, as one line, what a run that was stopped leaves to the user."""
    line = "prepared images stay in the cache, and a repeated command goes on from them"
    if not folder or not (folder / "config.yaml").is_file():
        return f"{line}."
    kept = ", ".join(sorted(path.name for path in folder.iterdir()))
    return f"{line}; {folder} holds {kept}. To go on: mura-run --resume {folder}"


def _refuse_missing_split(manifest: Manifest, validate: str) -> None:
    for split in ("train", "valid") if validate == "split" else ("train",):
        if not (manifest.table["split"] == split).any():
            raise DataError(f"{manifest.folder}: the data has no {split} images")
