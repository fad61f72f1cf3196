"""The step that trains the networks of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mura_core.data import (
    Manifest,
    PreparedImages,
    Training,
    count,
    installed_readers,
    trainings,
    write_usual,
)
from mura_core.errors import DataError
from mura_core.evaluation import parse_rule
from mura_core.files import write_csv
from mura_core.heatmaps import finding_boxes
from mura_core.imaging import PixelStatistics, Readers
from mura_core.pipeline.data import (
    open_data_of,
    prepare_images,
    say_counts,
)
from mura_core.pipeline.explained import network_to_explain, refuse_unknown_images
from mura_core.runs import (
    USUAL,
    RunConfig,
    in_use,
    new_run_folder,
    parse_seeds,
    refuse_other_pixels,
    refuse_other_versions,
    refuse_used_folder,
    write_config,
    write_environment,
)
from mura_plugins.manager import BUILT_IN, Plugins, load_plugins, parse_options, resolve
from mura_plugins.offers import Offer

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_AUGMENTED_IMAGES = 6  # on the contact sheet


@dataclass(frozen=True, eq=False)
class _Checked:
    """A run of which everything is checked that is known before images are read.

    Attributes
    ----------
    config : RunConfig
        With `jit` decided.
    manifest : Manifest
    readers : mapping
        Functions for further file suffixes.
    plugins : dict of str
        Versions of the distributions that provide the architecture and the readers.
    build : callable
        Returns a new model that standardises with these statistics, or doesn't standardise.
    strategy : tf.distribute.Strategy
    """

    config: RunConfig
    manifest: Manifest
    readers: Readers
    plugins: dict[str, str]
    build: Callable[[PixelStatistics | None], keras.Model]
    strategy: tf.distribute.Strategy


def train_run(
    config: RunConfig, folder: Path, plugins: Plugins | None = None, *, resume: bool = False
) -> None:
    """Prepare the images, train one model per fold and seed, and predict the validation images.

    Writes `config.yaml`, `environment.json`, `counts.csv`, `left_out.csv`, `unusual.csv`,
    `usual.json`, `contradictions.csv`, `splits.csv`, `statistics.npz`, `augmented.png`,
    `history.csv`, `model.keras`, `checkpoint.npz`, `tuning.csv` and `predictions.csv`. Files of
    folds are in `folds/`, those of several seeds in `seeds/`, and those of networks trained on
    shuffled labels in `shuffled/`.

    Parameters
    ----------
    config : RunConfig
        Settings of the run.
    folder : Path
        The run folder; it must be new or empty unless the run is resumed.
    plugins : Plugins, optional
        The loaded plugins; by default they are loaded.
    resume : bool
        Whether to continue a stopped run from its last checkpoint.

    Raises
    ------
    UsageError
        If a setting can't be used, or the run folder isn't empty.
    DataError
        If the data can't be trained on, or isn't that of the resumed run.
    """
    plugins = plugins or load_plugins()
    if not resume:
        refuse_used_folder(folder)
    checked = _check(config, plugins)
    with in_use(folder) if resume else new_run_folder(folder):
        prepared = _prepare(checked, folder, resume=resume)
        names_split = checked.manifest.names_split
        divided = _divide(prepared.table, checked.config, names_split=names_split)
        _draw_augmented(divided[0], prepared, checked.config, folder)
        _train(divided, prepared, checked, folder)


def _check(config: RunConfig, plugins: Plugins) -> _Checked:
    """Refuse what can be refused before images are read, and say which data it is."""
    architecture = plugins.architecture(config.model)
    parse_rule(config.operating_point)
    parse_seeds(config.seeds, config.seed)
    readers = installed_readers(plugins, window=config.window)
    manifest = open_data_of(config, readers)
    say_counts(config.data, manifest)
    _refuse_missing_split(manifest, config.validate)
    if config.explain:
        refuse_unknown_images(config.explain_images, manifest.table["path"])

    from mura_core.inference import gpu_memory, start_tensorflow, strategy_on

    start_tensorflow(config.seed, deterministic=config.deterministic)

    from mura_core.training import (
        build_model,
        counter,
        parse_kinds,
        refuse_untrainable,
        refuse_useless,
        uses_xla,
        warn_if_too_large,
    )

    refuse_untrainable(manifest.table)
    _divide(manifest.table, config, names_split=manifest.names_split)  # as if all can be read
    parse_kinds(config.augment)
    build = resolve(architecture.build)
    options = parse_options(build, config.options)
    strategy = strategy_on(config.devices)
    network = build_model(build, options, None, config.square)
    if config.explain:
        network_to_explain(network, config.layer)
    # What `auto` means here is kept in config.yaml, so that the run can be repeated elsewhere.
    config = replace(config, jit="on" if uses_xla(config.jit, strategy, network) else "off")
    refuse_useless(network, config.model)
    del network  # its weights would stay in the GPU's memory
    memory = gpu_memory(strategy)
    if memory is not None:
        count_memory = counter(build, options, config.square)
        warn_if_too_large(count_memory, config.recipe, memory, strategy.num_replicas_in_sync)

    def build_standardised(statistics: PixelStatistics | None) -> keras.Model:
        return build_model(build, options, statistics, config.square)

    versions = _plugin_versions(plugins, config.model)
    return _Checked(config, manifest, readers, versions, build_standardised, strategy)


def _plugin_versions(plugins: Plugins, model: str) -> dict[str, str]:
    """Return the versions of other distributions that provide the architecture and the readers."""
    offers: list[Offer[Any]] = [plugins.architecture_offer(model), *plugins.readers]
    return {one.distribution: one.version for one in offers if one.distribution != BUILT_IN}


def _prepare(checked: _Checked, folder: Path, *, resume: bool) -> PreparedImages:
    """Read the images, or find them in the cache, and write what is known of them."""
    if resume:
        refuse_other_versions(folder, checked.plugins)
    else:
        write_config(folder / "config.yaml", checked.config)
    prepared = prepare_images(checked.manifest, checked.config, checked.readers)
    if resume:
        refuse_other_pixels(folder, prepared.digest)
    write_environment(folder, prepared.digest, checked.plugins)
    write_csv(folder / "counts.csv", count(prepared.table))
    write_csv(folder / "left_out.csv", prepared.left_out)
    write_csv(folder / "unusual.csv", prepared.unusual())
    if (usual := prepared.usual_traits()) is not None:
        write_usual(folder / USUAL, usual)
    contradictions = checked.manifest.contradictions
    if len(contradictions):
        write_csv(folder / "contradictions.csv", contradictions)
    return prepared


def _divide(table: pd.DataFrame, config: RunConfig, *, names_split: bool) -> list[Training]:
    """Return the trainings of the run: one, or one per fold."""
    from mura_core.training import refuse_too_few, refuse_untrainable, refuse_unwatchable

    # With folds, the other folds' predictions are there to choose an operating point by.
    chooses = parse_rule(config.operating_point).is_chosen or config.calibrate != "none"
    divided = trainings(
        table,
        config.validate,
        proportion=config.proportion,
        folds=config.folds,
        seed=config.seed,
        tunes=config.recipe.watches or (config.validate != "kfold" and chooses),
        names_split=names_split,
    )
    for training in divided:
        refuse_untrainable(training.table)
        refuse_too_few(training.table, config.recipe)
        refuse_unwatchable(training.table, config.recipe)
    return divided


def _draw_augmented(
    training: Training, prepared: PreparedImages, config: RunConfig, folder: Path
) -> None:
    """Write a contact sheet of augmented training images, if they are augmented."""
    from mura_core.training import write_contact_sheet

    if config.augment:
        rows = np.flatnonzero(training.table["split"] == "train")[:_AUGMENTED_IMAGES]
        images = prepared.images[rows]
        write_contact_sheet(folder / "augmented.png", images, config.augment, seed=config.seed)


def _train(
    divided: list[Training], prepared: PreparedImages, checked: _Checked, folder: Path
) -> None:
    from mura_core.pipeline.train_folds import RunContext
    from mura_core.pipeline.train_seeds import train_from_each_seed

    config, boxes = checked.config, None
    if config.cell_loss:
        boxes = finding_boxes(checked.manifest, prepared, config.square, checked.readers)
    context = RunContext(config, prepared, checked.build, checked.strategy, boxes)
    train_from_each_seed(divided, context, folder)


def _refuse_missing_split(manifest: Manifest, validate: str) -> None:
    for split in ("train", "valid") if validate == "split" else ("train",):
        if not (manifest.table["split"] == split).any():
            raise DataError(f"{manifest.folder}: the data has no {split} images")
