"""Draw and score heatmaps of the images that a run was evaluated on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import Manifest, PreparedImages, installed_readers
from mura_core.errors import DataError, UsageError
from mura_core.evaluation import (
    SAME_ANSWER,
    Judgement,
    constant_folds,
    constant_output,
    is_constant,
)
from mura_core.files import remove_leftovers, write_csv
from mura_core.heatmaps import (
    Bench,
    HeatmapScores,
    MethodScores,
    Region,
    choose,
    findings_region,
    letters_region,
    without_letters,
    write_heatmaps,
)
from mura_core.imaging import Readers
from mura_core.pipeline.data import open_data_of, prepare_images, register_layers
from mura_core.pipeline.evaluate import judge_letters
from mura_core.pipeline.explained import (
    explainers_named,
    images_to_explain,
    network_to_explain,
    refuse_unknown_images,
)
from mura_core.pipeline.explainer import CheckedExplainer, ExplainerFault, explain_each
from mura_core.progress import progress
from mura_core.report import distraction_in_words, method_in_words
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
from mura_plugins.manager import Plugins, load_plugins

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
    NothingDrawn
        If none of the methods can explain the network.
    DataError
        If the run wasn't evaluated, or the data has changed since.
    """
    plugins = plugins or load_plugins()
    remove_leftovers(folder, below=True)
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
    judgement = _judgement(folder, config)
    if judgement.predictions.empty:
        write_metrics(folder, replace(metrics, heatmaps=None))
        return
    sample = _sample(judgement, config.explain_images)
    run = _open(folder, config, judgement, plugins)
    letters, known = _letters(run)
    bench = _bench(run, sample, letters)
    explained = explain_each(wanted, lambda method: _explain_by(method, bench, run))
    painted = _paint_letters_over(run, letters)
    run.prepared.refuse_changed()
    write_csv(folder / "heatmaps" / "heatmaps.csv", pd.concat([table for table, _ in explained]))
    methods = tuple(scores for _, scores in explained)
    distraction = judge_letters(folder, painted, judgement, config.seed, known=known)
    scores = HeatmapScores(config.network_seeds[0], methods, distraction)
    write_metrics(folder, replace(metrics, heatmaps=scores))
    log.info("\nHeatmap scores:")
    for method in methods:
        log.info("- %s.", method_in_words(method.explainer, method.groups))
    log.info("- %s.", distraction_in_words(distraction))


@dataclass(frozen=True)
class _Run:
    """A finished run, opened to be explained.

    Attributes
    ----------
    folder : Path
    config : RunConfig
    judgement : Judgement
        Predictions of the explained networks, with their operating points.
    manifest : Manifest
    prepared : PreparedImages
    networks : dict of Network
        The network of each fold.
    shuffled : dict of Network
        For each fold, a network trained on shuffled labels; empty if none was trained.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    """

    folder: Path
    config: RunConfig
    judgement: Judgement
    manifest: Manifest
    prepared: PreparedImages
    networks: dict[int, Network]
    shuffled: dict[int, Network]
    readers: Readers

    def images_of(self, paths: pd.Series) -> NDArray[np.intp]:
        """Return the indices of prepared images, by path."""
        rows = pd.Index(self.prepared.table["path"]).get_indexer(paths)
        if (rows < 0).any():
            missing = paths.iloc[int(np.argmin(rows))]
            raise DataError(f"{missing} was predicted in the run, but is no longer in the data")
        return rows


# Select ---------------------------------------------------------------------------------------


def _judgement(folder: Path, config: RunConfig) -> Judgement:
    """Return the judgement of the networks to explain, without collapsed ones."""
    first, *other_seeds = config.network_seeds
    judgement = judge_run(folder, seed=first)
    if other_seeds:
        log.info("\nExplaining the networks of the first seed, %d.", first)
    predictions = judgement.predictions
    kept = predictions[~predictions["fold"].isin(constant_folds(predictions))]
    if kept.empty:
        log.warning("No heatmap is drawn, because %s.", constant_output(predictions))
    elif reason := constant_output(predictions):
        log.warning("Images of collapsed networks are not explained, because %s.", reason)
    return replace(judgement, predictions=kept)


def _sample(judgement: Judgement, which: str) -> pd.DataFrame:
    """Return the predictions of the images that `--explain-images` selects."""
    judged = judgement.predictions
    wanted = images_to_explain(which)
    if not isinstance(wanted, list):
        return choose(judged, judgement.points, wanted or len(judged))
    refuse_unknown_images(which, judged["path"], "run's judged")
    return judged.set_index("path", drop=False).loc[wanted].reset_index(drop=True)


def _open(folder: Path, config: RunConfig, judgement: Judgement, plugins: Plugins) -> _Run:
    from mura_core.inference import start_tensorflow

    start_tensorflow(config.seed)
    register_layers(plugins)
    networks, shuffled = _networks(folder, config, judgement.predictions["fold"].unique())
    readers = installed_readers(plugins, window=config.window)
    manifest = open_data_of(config, readers)
    prepared = prepare_images(manifest, config, readers)
    refuse_other_pixels(folder, prepared.digest)
    return _Run(folder, config, judgement, manifest, prepared, networks, shuffled, readers)


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


# Explain and measure --------------------------------------------------------------------------


def _letters(run: _Run) -> tuple[Region, bool]:
    """Return the letters in the judged images, and whether the data gives their positions."""
    paths = run.judgement.predictions["path"].tolist()
    with progress("Detecting letters", "images") as so_far:
        return letters_region(run.manifest, paths, run.config.square, run.readers, so_far)


def _bench(run: _Run, sample: pd.DataFrame, letters: Region) -> Bench:
    images = run.prepared.images[run.images_of(sample["path"])]
    findings = findings_region(
        run.manifest, sample["path"], run.prepared, run.config.square, run.readers
    )
    return Bench(
        sample,
        images,
        run.networks,
        run.config.seed,
        findings=findings,
        letters=letters,
        shuffled=_without_constant(run.shuffled, images),
    )


def _without_constant(
    shuffled: Mapping[int, Network], images: NDArray[np.uint8]
) -> Mapping[int, Network]:
    """Return the networks, or none if one gives the same output for all of these images."""
    if any(is_constant(one.logits(images)) for one in shuffled.values()):
        log.warning(
            "Maps aren't compared with those of shuffled labels: trained on these, %s.", SAME_ANSWER
        )
        return {}
    return shuffled


def _explain_by(
    method: CheckedExplainer, bench: Bench, run: _Run
) -> tuple[pd.DataFrame, MethodScores]:
    """Draw the maps of one method; return its rows of `heatmaps.csv`, and its scores."""

    def leaving_unchanged() -> AbstractContextManager[None]:
        return method.leaving_unchanged(
            run.networks.values(), bench.images[:2], lambda: _reload(run, bench)
        )

    with progress(f"Explaining by {method.name}", "images") as so_far, leaving_unchanged():
        maps, looked_at = bench.explain(method, so_far)
    table = write_heatmaps(
        run.folder,
        method.record,
        looked_at,
        run.manifest.folder,
        bench.sample,
        maps,
        style=run.config.style,
        fit=run.config.fit,
        readers=run.readers,
        bit_depth=run.config.bit_depth,
    )
    where = f"the layer {looked_at}" if looked_at else "pixels"
    log.info("Drew %d heatmaps by %s, from %s", len(maps), method.name, where)
    try:
        with (
            progress(f"Explaining changed images by {method.name}", "images") as so_far,
            leaving_unchanged(),
        ):
            further = bench.explain_further(method, maps, so_far)
    except ExplainerFault as error:
        log.warning("The heatmaps by %s aren't scored. %s", method.name, error)
        unscored = {one.group.name: None for one in bench.measures}
        return table, MethodScores(method.name, looked_at, len(maps), unscored)
    with progress(f"Scoring {method.name}", "images") as so_far:
        found, groups = bench.score(maps, further, so_far)
    scores = MethodScores(method.name, looked_at, len(maps), groups)
    return pd.concat([table, found], axis=1), scores


def _reload(run: _Run, bench: Bench) -> None:
    """Replace the networks by those of the run's files, after an explainer has changed them."""
    networks, shuffled = _networks(run.folder, run.config, run.networks)
    run.networks.update(networks)
    run.shuffled.update(shuffled)
    bench.forget_networks()


def _paint_letters_over(run: _Run, letters: Region) -> pd.DataFrame:
    """Return the logits of the evaluated images that have letters, with and without them."""
    judged = run.judgement.predictions
    with_letters = judged[judged["path"].isin(list(letters.masks))]
    rows = run.images_of(with_letters["path"])
    with progress("Inpainting letters", "images") as so_far:
        return without_letters(
            with_letters,
            (run.prepared.images[row] for row in rows),
            letters.masks,
            run.networks,
            seed=run.config.seed,
            progress=so_far,
        )
