"""The step that explains: which images, by which methods, drawn, and measured where that can be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.boxes import FINDINGS, LETTERS, Box, box_mask, read_boxes
from mura_core.data import open_data, plugin_readers, prepare_images, register_layers
from mura_core.errors import DataError, RadiographError, UsageError
from mura_core.explanation import choose, evidence, write_heatmaps
from mura_core.files import replacing, write_csv
from mura_core.localisation import in_words, letters_in_words, measure
from mura_core.manifest import Manifest
from mura_core.operating_point import judge_run
from mura_core.prepared import PreparedImages
from mura_core.progress import progress
from mura_core.radiographs import Readers, read_radiograph
from mura_core.resizing import Square
from mura_core.run_folder import config_of, training_folder
from mura_plugins import Explainer, NotApplicable
from mura_plugins.manager import Plugins, load_plugins, resolve

log = logging.getLogger("mura")

Regions = dict[str, NDArray[np.bool_]]  # by the image's path


def methods(plugins: Plugins, names: Sequence[str]) -> list[Explainer]:
    """Return the explainers of these names, each once; `all` names every one.

    Raises
    ------
    PluginError
        There is no such explainer, or there are two.
    """
    every = [offer.record.name for offer in plugins.explainers]
    wanted = [one for name in names for one in (every if name == "all" else [name])]
    return [plugins.explainer(name) for name in dict.fromkeys(wanted)]


def explain(
    folder: Path,
    plugins: Plugins | None = None,
    *,
    explainers: Sequence[str] = (),
    explain_images: int | None = None,
    layer: str | None = None,
    style: str | None = None,
) -> None:
    """Draw heatmaps of a sample of the judged images, and measure them.

    Writes `heatmaps/`: `heatmaps.csv`, `measures.json`, and a folder for each method. They are
    measured where the data says where findings or burnt-in letters are. What isn't given is as in
    the run's `config.yaml`.

    Raises
    ------
    UsageError
        None of the methods can explain the network.
    """
    plugins = plugins or load_plugins()
    config = config_of(folder)
    wanted = methods(plugins, explainers or config.explain)
    if not wanted:
        raise UsageError("the run's config names no explainer; name one: --explain gradcam")
    judgement = judge_run(folder)
    count = config.explain_images if explain_images is None else explain_images
    sample = choose(judgement.predictions, judgement.points, count or len(judgement.predictions))

    from mura_core.devices import start_tensorflow

    start_tensorflow(config.seed)

    from mura_core.prediction import load_model
    from mura_plugins.network import Network

    readers = plugin_readers(plugins)
    manifest = open_data(config.data, config.body_part, config.seed, config.validate)
    prepared = prepare_images(manifest, config, readers)
    rows = _rows_of(prepared, sample)
    register_layers(plugins)
    layer = (config.layer if layer is None else layer) or None
    # Each image by the network that judged it, which hasn't trained on it.
    models = {
        fold: load_model(training_folder(folder, fold) / "model.keras")
        for fold in sample["fold"].unique()
    }
    regions = {
        name: _regions(manifest, name, sample, config.square, readers)
        for name in (FINDINGS, LETTERS)
    }
    written, measures = [], []
    for method in wanted:
        function = resolve(method.explain)
        parts: dict[int, NDArray[np.float32]] = {}
        looked_at = None
        try:
            for fold, model in models.items():
                network = Network(model, layer)
                own = rows[sample["fold"] == fold]
                with progress(f"Explaining by {method.name}", "images") as explained:
                    parts[fold] = evidence(
                        function,
                        network,
                        prepared.images[own],
                        toward=1,
                        seed=config.seed,
                        progress=explained,
                    )
                looked_at = network.looked_at
        except NotApplicable as error:
            log.warning("%s can't explain this network: %s", method.name, error)
            continue
        first = next(iter(parts.values()))
        maps = np.empty((len(rows), *first.shape[1:]), np.float32)
        for fold, some in parts.items():
            maps[sample["fold"] == fold] = some
        table = write_heatmaps(
            folder,
            method,
            looked_at,
            manifest.folder,
            sample,
            maps,
            style=style or config.style,
            fit=config.fit,
            readers=readers,
        )
        where = f"the layer {looked_at}" if looked_at else "pixels"
        log.info("Drew %d heatmaps by %s, which looks at %s", len(maps), method.name, where)
        for name, (judged, training) in regions.items():
            found = _measured(table, maps, judged, training, name, config.seed)
            if found is not None:
                measures.append({"explainer": method.name, **found})
                log.info("  %s", found["in_words"])
        written.append(table)
    if not written:
        names = ", ".join(method.name for method in wanted)
        raise UsageError(f"none of {names} can explain this network")
    write_csv(folder / "heatmaps" / "heatmaps.csv", pd.concat(written))
    with replacing(folder / "heatmaps" / "measures.json") as file:
        json.dump({"version": 1, "measures": measures}, file, indent=1, allow_nan=False)


def _measured(
    table: pd.DataFrame,
    maps: NDArray[np.float32],
    judged: Regions,
    training: Sequence[NDArray[np.bool_]],
    name: str,
    seed: int,
) -> dict[str, Any] | None:
    """Measure the maps of the images that have such regions; add columns to their table."""
    has = table["path"].isin(judged).to_numpy()
    if has.sum() < 2:
        return None
    masks = [judged[path] for path in table["path"][has]]
    own, summary = measure(maps[has], masks, training, seed=seed)
    own.index = table.index[has]
    region, words = ("finding", in_words) if name == FINDINGS else ("letters", letters_in_words)
    for measured in own:
        table[f"{region}_{measured}"] = own[measured]
    return {"region": region, "in_words": words(summary), **summary}


def _regions(
    manifest: Manifest, name: str, sample: pd.DataFrame, square: Square, readers: Readers
) -> tuple[Regions, list[NDArray[np.bool_]]]:
    """Return the regions of the sample, and those of training images that aren't in it."""
    boxes = read_boxes(manifest, name)
    trains = manifest.table["path"][manifest.table["split"] == "train"]
    training = set(trains) - set(sample["path"])
    judged = _masks(boxes, sample["path"], manifest.folder, square, readers)
    others = _masks(boxes, training, manifest.folder, square, readers) if judged else {}
    return judged, list(others.values())


def _masks(
    boxes: Mapping[str, list[Box]],
    paths: Iterable[str],
    folder: Path,
    square: Square,
    readers: Readers,
) -> Regions:
    masks: Regions = {}
    for path in paths:
        if path in boxes:
            try:
                shape = read_radiograph(folder / path, readers=readers).shape
            except RadiographError:
                continue  # left out of the run, and said so, when it was prepared
            mask = box_mask(boxes[path], shape, square)
            if mask.any():  # not cut off
                masks[path] = mask
    return masks


def _rows_of(prepared: PreparedImages, sample: pd.DataFrame) -> NDArray[np.intp]:
    rows = pd.Index(prepared.table["path"]).get_indexer(sample["path"])
    if (rows < 0).any():
        missing = sample["path"].iloc[int(np.argmin(rows))]
        raise DataError(f"{missing} was predicted in the run, and is no longer in the data")
    return rows
