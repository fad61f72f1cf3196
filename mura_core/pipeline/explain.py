"""Draw and score heatmaps of the images that a run was evaluated on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import PreparedImages, installed_readers
from mura_core.errors import DataError, UsageError
from mura_core.evaluation import (
    SAME_ANSWER,
    Judgement,
    constant_folds,
    constant_output,
    is_constant,
)
from mura_core.files import write_csv
from mura_core.heatmaps import (
    Bench,
    Region,
    choose,
    findings_region,
    letters_region,
    without_letters,
    write_heatmaps,
)
from mura_core.imaging import Readers
from mura_core.pipeline.data import open_data, prepare_images, register_layers
from mura_core.pipeline.evaluate import judge_letters
from mura_core.pipeline.explained import (
    explainers_named,
    images_to_explain,
    network_to_explain,
    refuse_unknown_images,
)
from mura_core.progress import progress
from mura_core.report import method_in_words
from mura_core.runs import (
    RunConfig,
    Style,
    config_of,
    judge_run,
    read_metrics,
    refuse_other_pixels,
    seed_folder,
    training_folder,
    write_metrics,
)
from mura_plugins import Explainer, NotApplicable
from mura_plugins.manager import Plugins, load_plugins, resolve

if TYPE_CHECKING:
    from mura_plugins.network import Network

log = logging.getLogger("mura")


def explain_run(
    folder: Path,
    plugins: Plugins | None = None,
    *,
    explainers: Sequence[str] = (),
    explain_images: str | None = None,
    layer: str | None = None,
    style: Style | None = None,
) -> None:
    """Draw heatmaps of some of the evaluated images, and score them.

    Writes `heatmaps/` (`heatmaps.csv`, `letters.csv` and one folder per method) and adds the
    scores to `metrics.json`. Of several seeds, only the networks of the first are explained, with
    their own predictions. Options not given are as in the run's `config.yaml`.

    Parameters
    ----------
    folder : Path
        The run folder.
    plugins : Plugins, optional
        The loaded plugins; by default they are loaded.
    explainers : sequence of str
        Names of the methods, or `all`.
    explain_images : str, optional
        Number of images, `all`, or a text file that lists them.
    layer : str, optional
        Layer whose features the methods use; empty for the network's default.
    style : {"inferno", "report2019"}, optional
        Colours of the heatmaps.

    Raises
    ------
    UsageError
        If none of the methods can explain the network.
    DataError
        If the run wasn't evaluated, or the data has changed since.
    """
    plugins = plugins or load_plugins()
    config = config_of(folder)
    config = replace(
        config,
        explain=tuple(explainers) or config.explain,
        explain_images=explain_images or config.explain_images,
        layer=config.layer if layer is None else layer,
        style=style or config.style,
    )
    wanted = explainers_named(plugins, config.explain)
    if not wanted:
        raise UsageError("the run's config names no explainer; name one: --explain gradcam")
    metrics = read_metrics(folder)
    first, *other_seeds = config.network_seeds
    judgement = judge_run(folder, seed=first)
    if other_seeds:
        log.info("\nExplaining the networks of the first seed, %d.", first)
    collapsed = constant_output(judgement.predictions)
    judgement = _without_collapsed(judgement)
    if judgement.predictions.empty:
        write_metrics(folder, metrics | {"heatmaps": None})
        log.warning("No heatmap is drawn, because %s.", collapsed)
        return
    if collapsed:
        log.warning("Images of collapsed networks are not explained, because %s.", collapsed)
    sample = _sample(judgement, config.explain_images)

    from mura_core.inference import start_tensorflow

    start_tensorflow(config.seed)

    register_layers(plugins)
    networks, on_shuffled_labels = _networks(folder, config, judgement.predictions["fold"].unique())
    readers = installed_readers(plugins)
    manifest = open_data(config.data, config.body_part, config.seed, config.validate, readers)
    prepared = prepare_images(manifest, config, readers)
    refuse_other_pixels(folder, prepared.digest)
    rows = _rows_of(prepared, sample["path"])
    judged = judgement.predictions
    with progress("Detecting letters", "images") as so_far:
        letters, known = letters_region(
            manifest, judged["path"].tolist(), config.square, readers, so_far
        )
    images = prepared.images[rows]
    shuffled = _without_constant(on_shuffled_labels, images)
    bench = Bench(
        sample,
        images,
        networks,
        config.seed,
        findings=findings_region(manifest, sample["path"], prepared, config.square, readers),
        letters=letters,
        shuffled=shuffled,
    )
    drawn, measured = [], []
    for method in wanted:
        try:
            table, summary = _explain_by(method, bench, folder, manifest.folder, config, readers)
        except NotApplicable as error:
            log.warning("%s can't explain this network: %s", method.name, error)
            continue
        drawn.append(table)
        measured.append(summary)
    if not drawn:
        names = ", ".join(method.name for method in wanted)
        raise UsageError(f"none of {names} can explain this network")
    write_csv(folder / "heatmaps" / "heatmaps.csv", pd.concat(drawn))
    painted = _paint_letters_over(judgement, prepared, letters, networks, config.seed)
    distracted = judge_letters(folder, painted, judgement, config.seed, known=known)
    metrics["heatmaps"] = {"seed": first, "methods": measured, "distraction": distracted}
    write_metrics(folder, metrics)
    log.info("\nHeatmap scores:")
    for said in (*measured, distracted):
        log.info("- %s.", said["in_words"])


def _without_collapsed(judgement: Judgement) -> Judgement:
    """Return a judgement without the folds whose network gives the same output for every image."""
    predictions = judgement.predictions
    kept = ~predictions["fold"].isin(constant_folds(predictions))
    return replace(judgement, predictions=predictions[kept])


def _networks(
    folder: Path, config: RunConfig, folds: Iterable[int]
) -> tuple[dict[int, Network], dict[int, Network]]:
    """Return the network of each fold, and, if there are any, those trained on shuffled labels."""
    from mura_core.inference import load_model

    def network(path: Path) -> Network:
        return network_to_explain(load_model(path), config.layer)

    # Each image is explained by the network that predicted it, which didn't train on it.
    own_folder = seed_folder(folder, config, config.network_seeds[0])
    folders = {fold: training_folder(own_folder, fold) for fold in folds}
    networks = {fold: network(own / "model.keras") for fold, own in folders.items()}
    if not config.shuffled_labels:
        return networks, {}
    shuffled = {fold: network(own / "shuffled" / "model.keras") for fold, own in folders.items()}
    return networks, shuffled


def _without_constant(
    shuffled: dict[int, Network], images: NDArray[np.uint8]
) -> dict[int, Network]:
    """Return the networks, or none if one gives the same output for all of these images."""
    if any(is_constant(one.logits(images)) for one in shuffled.values()):
        log.warning(
            "Maps aren't compared with those of shuffled labels: trained on these, %s.", SAME_ANSWER
        )
        return {}
    return shuffled


def _explain_by(
    method: Explainer,
    bench: Bench,
    folder: Path,
    data_folder: Path,
    config: RunConfig,
    readers: Readers,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw the maps of one method; return its rows of `heatmaps.csv`, and its scores."""
    function = resolve(method.explain)
    with progress(f"Explaining by {method.name}", "images") as so_far:
        maps, looked_at = bench.explain(function, so_far)
    table = write_heatmaps(
        folder,
        method,
        looked_at,
        data_folder,
        bench.sample,
        maps,
        style=config.style,
        fit=config.fit,
        readers=readers,
    )
    where = f"the layer {looked_at}" if looked_at else "pixels"
    log.info("Drew %d heatmaps by %s, from %s", len(maps), method.name, where)
    with progress(f"Explaining changed images by {method.name}", "images") as so_far:
        further = bench.explain_further(function, maps, so_far)
    with progress(f"Scoring {method.name}", "images") as so_far:
        found, summary = bench.score(maps, further, so_far)
    about = {"explainer": method.name, "layer": looked_at, "images": len(maps)}
    sentence = method_in_words(method.name, summary)
    return pd.concat([table, found], axis=1), about | {"in_words": sentence} | summary


def _sample(judgement: Judgement, which: str) -> pd.DataFrame:
    """Return the predictions of the images that `--explain-images` selects."""
    judged = judgement.predictions
    wanted = images_to_explain(which)
    if not isinstance(wanted, list):
        return choose(judged, judgement.points, wanted or len(judged))
    refuse_unknown_images(which, judged["path"], "run's judged")
    return judged.set_index("path", drop=False).loc[wanted].reset_index(drop=True)


def _paint_letters_over(
    judgement: Judgement,
    prepared: PreparedImages,
    letters: Region,
    networks: Mapping[int, Network],
    seed: int,
) -> pd.DataFrame:
    """Return the logits of the evaluated images that have letters, with and without them."""
    judged = judgement.predictions
    with_letters = judged[judged["path"].isin(list(letters.masks))]
    rows = _rows_of(prepared, with_letters["path"])
    with progress("Inpainting letters", "images") as so_far:
        return without_letters(
            with_letters,
            (prepared.images[row] for row in rows),
            letters.masks,
            networks,
            seed=seed,
            progress=so_far,
        )


def _rows_of(prepared: PreparedImages, paths: pd.Series) -> NDArray[np.intp]:
    rows = pd.Index(prepared.table["path"]).get_indexer(paths)
    if (rows < 0).any():
        missing = paths.iloc[int(np.argmin(rows))]
        raise DataError(f"{missing} was predicted in the run, but is no longer in the data")
    return rows
