"""Find, count and prepare the images of a run, and report those that were left out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pandas as pd
import platformdirs

from mura_core.data import (
    DARK_16_BITS,
    Manifest,
    PreparedImages,
    Reading,
    as_table,
    count,
    prepare,
    read_manifest,
    training_statistics,
    write_list,
)
from mura_core.errors import UsageError, printable
from mura_core.imaging import IS_PURE, Readers
from mura_core.phantoms import phantom_folder
from mura_core.pipeline.left_out import (
    first_names,
    refuse_left_out,
    say_left_out,
)
from mura_core.pipeline.unusual import say_unusual
from mura_core.progress import progress
from mura_core.runs import PHANTOMS, RunConfig
from mura_plugins.guard import is_from_user
from mura_plugins.manager import Plugins
from mura_plugins.offers import unusable

log = logging.getLogger("mura")


def cache_folder() -> Path:
    """Return the folder in which prepared images and phantoms are cached for this user."""
    return platformdirs.user_cache_path("mura-run")


def open_data(
    data: str,
    body_parts: Sequence[str],
    seed: int,
    validate: str = "split",
    readers: Readers | None = None,
    reading: Reading | None = None,
) -> Manifest:
    """Return the manifest of a folder of radiographs, or of the phantoms.

    Parameters
    ----------
    data : str
        Folder of radiographs or CSV file, or `phantoms`.
    body_parts : sequence of str
        Body parts to keep; empty keeps all.
    seed : int
        Random seed of the split, where the data names none.
    validate : {"split", "holdout", "kfold"}
        With `split`, data that names no split is split by patient. Otherwise its images are all
        `train`, because the run holds patients out itself.
    readers : mapping, optional
        Image readers by file suffix, in addition to the built-in ones.
    reading : Reading, optional
        The columns of a CSV, the labels that mean abnormal, and whether paths may lead outside.

    Raises
    ------
    UsageError
        `data` is empty.
    """
    if not data:
        raise UsageError("--data is empty; a variable of the shell may not be set")
    folder = Path(data)
    if data == PHANTOMS:
        with progress("Drawing phantoms", "images") as drawn:
            folder = phantom_folder(cache_folder(), progress=drawn)
    manifest = read_manifest(
        folder, seed, split=validate == "split", readers=readers, reading=reading
    )
    if data == PHANTOMS:
        manifest = replace(manifest, left_out=())  # a README of ours
    return manifest.of(body_parts)


def open_data_of(config: RunConfig, readers: Readers) -> Manifest:
    """Return the manifest of the data that the settings of a run name.

    Parameters
    ----------
    config : RunConfig
        Settings of the run.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    """
    return open_data(
        config.data, config.body_part, config.seed, config.validate, readers, config.reading
    )


def say_counts(data: str, manifest: Manifest) -> None:
    """Log the name of the data, what was assumed, and its numbers of images, studies and patients.

    Parameters
    ----------
    data : str
        Folder of radiographs or CSV file, or `phantoms`.
    manifest : Manifest
        The manifest of the data.
    """
    if IS_PURE:
        log.warning(
            "The compiled extensions are missing, so reading images takes longer. Install a C"
            " compiler, then reinstall mura-run."
        )
    name = (
        "phantoms, drawn by the program: not radiographs of patients" if data == PHANTOMS else data
    )
    log.info("Data: %s\n\n%s\n", name, count(manifest.table).to_string(index=False))
    for note in manifest.notes:
        log.info("%s", note)
    say_contradictions(manifest, "contradictions.csv in the run folder lists them")


def say_contradictions(manifest: Manifest, listed: str) -> None:
    """Log a warning if labels of a CSV contradict the names of folders.

    Parameters
    ----------
    manifest : Manifest
        The manifest of the data.
    listed : str
        Where the images are listed.
    """
    of_table = manifest.contradictions
    of_table = of_table[of_table["path"].isin(manifest.table["path"])]
    if of_table.empty:
        return
    words = ("normal", "abnormal")
    first = of_table.iloc[0]
    log.warning(
        "%d images have a label that contradicts their folder's name, for example %s is %s. The"
        " labels of the CSV are used; %s.",
        len(of_table), first["path"], words[first["label"]], listed,
    )  # fmt: skip
    for path, label, _ in of_table.itertuples(index=False):
        log.debug("Contradicts its folder's name: %s is %s", path, words[label])


def prepare_images(manifest: Manifest, config: RunConfig, readers: Readers) -> PreparedImages:
    """Return the prepared images, from the cache if they are there, and log those left out.

    Parameters
    ----------
    manifest : Manifest
        Images to prepare.
    config : RunConfig
        Settings of the run, which give the size and shape of the images.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.

    Raises
    ------
    DataError
        If the run is strict and an image can't be read, or another file that may be one.
    """
    _refuse_lost(manifest, config)
    with progress("Preparing images", "images") as so_far:
        prepared = prepare(
            manifest, cache_folder(), config.square, readers=readers, progress=so_far
        )
    log.info("Prepared %d images: %s", len(prepared.table), prepared.folder)
    _say_left_out(prepared.unreadable, len(manifest.table), manifest, config, prepared.listed_in)
    if studies := prepared.studies_without_images(manifest):
        log.warning(
            "Left out: %d %s without a readable image: %s. --verbose lists all.",
            len(studies), "study" if len(studies) == 1 else "studies",
            printable(first_names(studies)),
        )  # fmt: skip
        for study in studies:
            log.debug("Left out: study %s, which has no readable image.", printable(study))
    if config.bit_depth == 16:
        _say_if_nearly_black(prepared.largest_16_bit_level)
    unusual = prepared.unusual()
    say_unusual(unusual, write_list(prepared.folder / "unusual.csv", unusual))
    return prepared


def prepare_statistics(manifest: Manifest, config: RunConfig, readers: Readers) -> None:
    """Cache the mean and deviation image of the training images, without the images.

    Parameters
    ----------
    manifest : Manifest
        Images, including the training images.
    config : RunConfig
        Settings of the run, which give the size and shape of the images.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.

    Raises
    ------
    DataError
        If the run is strict and an image can't be read, or if fewer than 2 can.
    """
    _refuse_lost(manifest, config)
    with progress("Summing images", "images") as so_far:
        path, statistics, unreadable = training_statistics(
            manifest, cache_folder(), config.square, readers=readers, progress=so_far
        )
    total = statistics.count + len(unreadable)
    listed_in = f"in {path.with_suffix('.left_out.csv')}"
    _say_left_out(unreadable, total, manifest, config, listed_in)
    log.info(
        "Mean and deviation of %d training images: %s\nMean level %.2f, deviation %.2f"
        " (levels 0 to 255)",
        statistics.count, path, statistics.mean.mean(), statistics.deviation.mean(),
    )  # fmt: skip


def register_layers(plugins: Plugins) -> None:
    """Import the modules of all architectures, which register the layers that saved models use."""
    for offer in plugins.architectures:
        try:
            import_module(offer.record.build.partition(":")[0])
        except BaseException as error:
            if is_from_user(error):
                raise
            log.warning("%s", unusable("architecture", offer, error))


def _say_if_nearly_black(largest: int) -> None:
    if 0 < largest < DARK_16_BITS:
        depth = max(8, largest.bit_length())
        log.warning(
            "The 16-bit images have levels up to %d of 65535, so they are nearly black. If they"
            " hold %d bits, use --bit-depth %d.",
            largest, depth, depth,
        )  # fmt: skip


def _refuse_lost(manifest: Manifest, config: RunConfig) -> None:
    """Refuse files that may be radiographs before images are read, if the run is strict."""
    if config.strict:
        refuse_left_out(as_table(()), len(manifest.table), manifest.left_out, manifest.folder)


def _say_left_out(
    unreadable: pd.DataFrame, total: int, manifest: Manifest, config: RunConfig, listed_in: str
) -> None:
    if config.strict:
        refuse_left_out(unreadable, total)
    say_left_out(unreadable, total, manifest.left_out, manifest.folder, listed_in=listed_in)
