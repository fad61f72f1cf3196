"""Draw heatmaps of new images with the networks of a run, and write their page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.files import replacing, write_csv
from mura_core.heatmaps import evidence, write_heatmaps
from mura_core.imaging import Readers
from mura_core.pipeline.explainer import CheckedExplainer, explain_each
from mura_core.pipeline.finished_run import FinishedRun
from mura_core.progress import progress
from mura_core.report import Using, predictions_page
from mura_core.runs import read_run_table

if TYPE_CHECKING:
    from mura_core.inference import Squares
    from mura_plugins.network import Network

log = logging.getLogger("mura")


PAGE = "predictions.html"


def explain_new_images(
    run: FinishedRun,
    networks: list[Network],
    squares: Squares,
    table: pd.DataFrame,
    wanted: Sequence[CheckedExplainer],
    out: Path,
    readers: Readers,
    reload: Callable[[], None],
) -> pd.DataFrame:
    """Draw heatmaps of new images, averaged over the networks of a run.

    Parameters
    ----------
    run : FinishedRun
        The run.
    networks : list of Network
        Its networks.
    squares : Squares
        The prepared images.
    table : DataFrame
        Their predictions, as returned by `predict_by_run`.
    wanted : sequence of CheckedExplainer
        The methods.
    out : Path
        Folder to write `heatmaps/` to.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    reload : callable
        Replaces the items of `networks`, after a method has changed them.

    Returns
    -------
    DataFrame
        Contents of `heatmaps.csv`, one row per image and method.

    Raises
    ------
    NothingDrawn
        If no method can explain the network.
    """

    def explain_by(method: CheckedExplainer) -> pd.DataFrame:
        with method.leaving_unchanged(networks, squares.images[:2], reload):
            maps, layer = _mean_maps(method, networks, squares.images, run.config.seed)
        scale = _scale_of(run, method.name, layer)
        rows = write_heatmaps(
            out,
            method.record,
            layer,
            Path(),
            table,
            maps,
            style=run.config.style,
            fit=run.config.fit,
            readers=readers,
            bit_depth=run.config.bit_depth,
            scale=scale,
        )
        log.info("Drew %d heatmaps by %s", len(rows), method.name)
        return rows.assign(scale_of="run" if scale is not None else "images")

    heatmaps = pd.concat(explain_each(wanted, explain_by))
    write_csv(out / "heatmaps" / "heatmaps.csv", heatmaps)
    return heatmaps


def _mean_maps(
    method: CheckedExplainer, networks: Sequence[Network], images: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.float32], str | None]:
    """Return the mean of the networks' maps, (N, h, w), and the layer that was used."""
    total: NDArray[np.float32] | None = None
    with progress(f"Explaining by {method.name}", "images") as so_far:
        for number, network in enumerate(networks):
            network.forget_what_was_looked_at()

            def of_all(done: int, count: int, number: int = number) -> None:
                so_far(number * count + done, len(networks) * count)

            maps = evidence(method, {0: network}, images, toward=1, seed=seed, progress=of_all)
            if total is None:
                total = maps
            else:
                total += maps
    assert total is not None, "a run has a network"
    total /= len(networks)
    return total, networks[0].looked_at


def _scale_of(run: FinishedRun, method: str, layer: str | None) -> float | None:
    """Return the scale of a method's heatmaps in the run; None without comparable heatmaps."""
    name = "heatmaps/heatmaps.csv"
    if run.config.style == "report2019" or not (run.folder / name).is_file():
        return None
    table = read_run_table(run.folder, name)
    same = table[(table["explainer"] == method) & (table["style"] == run.config.style)]
    same = same[same["layer"] == (layer or "")]
    # The scale is 0 if all maps of the run are empty; then there is nothing to compare with.
    return float(same["scale"].iloc[0]) or None if len(same) else None


def write_page(
    run: FinishedRun,
    left_out: pd.DataFrame,
    unusual: pd.DataFrame,
    table: pd.DataFrame,
    heatmaps: pd.DataFrame,
    out: Path,
) -> None:
    """Write a page with the verdicts and heatmaps of new images.

    Parameters
    ----------
    run : FinishedRun
        The run.
    left_out : DataFrame
        `path` and `reason` of the files that were left out.
    unusual : DataFrame
        `path` and `reason` of the images that are unlike the training images.
    table : DataFrame
        The predictions of the images, as returned by `predict_by_run`.
    heatmaps : DataFrame
        Their heatmaps, as returned by `explain_new_images`.
    out : Path
        Folder to write `predictions.html` to.
    """
    using = Using(
        run.folder,
        networks=len(run.networks),
        points={level: run.point(level) for level in ("image", "study")},
        left_out=left_out.to_dict("records"),  # type: ignore[arg-type]
        unusual=unusual.to_dict("records"),  # type: ignore[arg-type]
    )
    with replacing(out / PAGE) as file:
        file.write(predictions_page(using, table, heatmaps))
    log.info("Page: %s", out / PAGE)
