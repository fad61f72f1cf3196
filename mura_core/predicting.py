"""The step that predicts new images: by a run as it was judged, or by saved models alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.collapse import SAME_ANSWER, gives_one_answer, one_answer
from mura_core.data import plugin_readers, register_layers, warn_of_failures
from mura_core.errors import DataError, RadiographError, UsageError
from mura_core.explaining import methods
from mura_core.explanation import evidence, write_heatmaps
from mura_core.files import replacing, write_csv
from mura_core.judging import METRICS_VERSION
from mura_core.metrics import MEAN, Floats, OperatingPoint, score_units
from mura_core.operating_point import Judgement, judge_run
from mura_core.progress import progress
from mura_core.radiographs import Readers, image_files
from mura_core.report.predictions import Using, predictions_page
from mura_core.run_folder import (
    RunConfig,
    config_of,
    make_run_folder,
    read_metrics,
    seed_folder,
    training_folder,
)
from mura_plugins import Explainer, NotApplicable
from mura_plugins.manager import Plugins, load_plugins, resolve

if TYPE_CHECKING:
    import keras

    from mura_core.prediction import Squares
    from mura_plugins.network import Network

log = logging.getLogger("mura")

PAGE = "predictions.html"


def predict_by_models(
    model_files: Sequence[Path], sources: Sequence[Path], *, flip: bool = False
) -> pd.DataFrame:
    """Return saved models' mean predictions for image files, and for the images in folders.

    The images of one folder are one study, whose probability is their mean. What can't be read is
    left out and warned of.

    Parameters
    ----------
    model_files : sequence of Path
    sources : sequence of Path
        Image files, and folders of them.
    flip : bool
        Whether the mean also takes in the images mirrored left to right.

    Returns
    -------
    DataFrame with the columns `path`, `study`, `logit` (of the mean probability), `probability`,
    `study_probability`.

    Raises
    ------
    DataError
        A model can't be loaded or isn't one that `mura-run` trained, or no image can be read.
    """
    plugins = _start(seed=0)

    from mura_core.prediction import load_model, predict_logits, square_of

    models = [load_model(path) for path in model_files]
    squares = []
    for path, model in zip(model_files, models, strict=True):
        try:
            squares.append(square_of(model))
        except DataError as reason:
            raise DataError(f"{path}: {reason}") from None
    readers = plugin_readers(plugins)
    read = {
        square: _read(sources, square, readers, warn=number == 0)
        for number, square in enumerate(dict.fromkeys(squares))
    }
    votes = []
    with progress("Predicting", "images") as so_far:
        for number, (model, square) in enumerate(zip(models, squares, strict=True)):
            images = read[square].images
            votes.append(predict_logits(model, images, np.arange(len(images)), flip=flip))
            so_far((number + 1) * len(images), len(models) * len(images))
    for path, vote, square in zip(model_files, votes, squares, strict=True):
        if gives_one_answer(vote) and np.ptp(read[square].images, axis=0).any():
            log.warning("%s: %s", path, SAME_ANSWER)
    table = _table(read[squares[0]], np.stack(votes, axis=1))
    return _with_studies(table.assign(probability=_probability(table["logit"])), MEAN)


@dataclass(frozen=True)
class Run:
    """A run as it is used for new images.

    Attributes
    ----------
    folder : Path
    config : RunConfig
    judgement : Judgement
        With the calibration of each fold, and the operating points.
    models : dict of list of keras.Model
        By fold, one a seed.
    """

    folder: Path
    config: RunConfig
    judgement: Judgement
    models: Mapping[int, Sequence[keras.Model]]

    @property
    def networks(self) -> list[keras.Model]:
        """The models of all folds and seeds."""
        return [model for models in self.models.values() for model in models]

    def point(self, level: str) -> OperatingPoint:
        """Return the operating point of a level.

        With folds it is the mean of theirs: none of them judged new images alone.
        """
        points = [self.judgement.points[level, fold] for fold in self.models]
        threshold = float(np.mean([point.threshold for point in points]))
        if points[0].normal_below is None:
            return OperatingPoint(threshold)
        low = float(np.mean([point.low for point in points]))
        return OperatingPoint(threshold, normal_below=low)


def predict_by_run(
    folder: Path,
    sources: Sequence[Path],
    *,
    explainers: Sequence[str] = (),
    out: Path | None = None,
) -> pd.DataFrame:
    """Return a run's predictions of image files, and of the images in folders, with verdicts.

    Of several seeds, the mean of their probabilities is that of a fold. It is calibrated as that
    fold was, and the mean of the folds' probabilities is compared with the mean of their operating
    points. The images of one folder are one study, whose
    probability is the run's study score.

    Parameters
    ----------
    folder : Path
        The run folder.
    sources : sequence of Path
        Image files, and folders of them.
    explainers : sequence of str
        Methods by which heatmaps are drawn, into `out`.
    out : Path, optional
        A new folder, where there are explainers: `predictions.csv`, `heatmaps/` and a page are
        written to it.

    Returns
    -------
    DataFrame with the columns `path`, `study`, `logit` (of the networks' mean probability, not
    calibrated), `probability`, `verdict`, `study_probability` and `study_verdict`.

    Raises
    ------
    UsageError
        `folder` isn't a run folder, there are no sources, or no method can explain the network.
    DataError
        The run isn't finished, or gives every image the same answer; or no image can be read.
    """
    if not (folder / "config.yaml").is_file():
        raise UsageError(
            f"{folder} is not a run folder (it has no config.yaml): name a run before the images,"
            " or models by --model-file"
        )
    if not sources:
        raise UsageError(f"name images after the run {folder}: files, or folders of them")
    config, judgement = config_of(folder), _judged(folder)
    wanted = methods(load_plugins(), explainers)
    if wanted:
        if out is None:
            raise UsageError("--explain needs --out FOLDER, for the heatmaps")
        make_run_folder(out)
    plugins = _start(config.seed)

    from mura_core.prediction import load_model, square_of

    folds = sorted(set(judgement.predictions["fold"].tolist()))
    of_seeds = [seed_folder(folder, config, seed) for seed in config.network_seeds]
    models = {
        fold: [load_model(training_folder(own, fold) / "model.keras") for own in of_seeds]
        for fold in folds
    }
    run = Run(folder, config, judgement, models)
    readers = plugin_readers(plugins)
    squares = _read(sources, square_of(run.networks[0]), readers)
    table = _predict(run, squares)
    if wanted and out is not None:
        write_csv(out / "predictions.csv", table)
        drawn = _explain(run, squares, table, wanted, out, readers)
        _write_page(run, squares, table, drawn, out)
    return table


def _start(seed: int) -> Plugins:
    from mura_core.devices import start_tensorflow

    start_tensorflow(seed)
    plugins = load_plugins()
    warn_of_failures(plugins)
    register_layers(plugins)
    return plugins


def _read(sources: Sequence[Path], square: Any, readers: Readers, *, warn: bool = True) -> Squares:
    from mura_core.prediction import read_squares

    # In the order of their names, in which a study's images are summed when a run is judged.
    paths = sorted(image_files(sources, readers), key=str)
    unnamed = [path for path in paths if not _is_text(str(path))]
    with progress("Reading", "images") as so_far:
        named = [path for path in paths if path not in unnamed]
        squares = read_squares(named, square, readers, so_far)
    for path in unnamed:
        shown = str(path).encode(errors="backslashreplace").decode()
        squares.left_out.append(RadiographError(shown, "its name is not UTF-8; rename it"))
    for error in squares.left_out if warn else ():
        log.warning("Left out: %s", error)
    if not squares.paths:
        raise DataError(f"none of the {len(paths)} images can be read")
    return squares


def _is_text(name: str) -> bool:
    """Return whether a file's name can be written to a table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _judged(folder: Path) -> Judgement:
    version = read_metrics(folder).get("version")
    if version != METRICS_VERSION:
        raise DataError(
            f"{folder}: was judged by another version of mura-run (its metrics.json is of version"
            f" {version}, not {METRICS_VERSION}): judge it again with mura-run evaluate {folder}"
        )
    judgement = judge_run(folder)
    if reason := one_answer(judgement.predictions):
        raise DataError(f"{folder}: {reason}")
    return judgement


def _predict(run: Run, squares: Squares) -> pd.DataFrame:
    from mura_core.prediction import mean_logit, predict_logits

    images, flip = squares.images, run.config.average_flips
    logits: list[NDArray[np.float32]] = []
    calibrated = []
    with progress("Predicting", "images") as so_far:
        for fold, models in run.models.items():
            of_fold = []
            for model in models:
                of_fold.append(predict_logits(model, images, np.arange(len(images)), flip=flip))
                done = len(logits) + len(of_fold)
                so_far(done * len(images), len(run.networks) * len(images))
            logits += of_fold
            # In float32, as the run's own predictions are.
            mean = mean_logit(np.stack(of_fold, axis=1)).astype(np.float32)
            calibrated.append(run.judgement.calibrations[fold](mean.astype(np.float64)))
    table = _table(squares, np.stack(logits, axis=1)).assign(
        probability=np.mean(calibrated, axis=0)
    )
    table["verdict"] = run.point("image").verdicts(table["probability"].to_numpy())
    table = _with_studies(table, run.judgement.study_score)
    table["study_verdict"] = run.point("study").verdicts(table["study_probability"].to_numpy())
    return table


def _table(squares: Squares, logits: NDArray[np.float32]) -> pd.DataFrame:
    """Return the images' rows, with the logit of the mean probability of several votes."""
    from mura_core.prediction import mean_logit

    return pd.DataFrame(
        {
            "path": [str(path) for path in squares.paths],
            "study": [str(path.parent) for path in squares.paths],
            "logit": mean_logit(logits).astype(np.float32),
        }
    )


def _probability(logits: pd.Series) -> Floats:
    from mura_core.prediction import probability

    return probability(logits.to_numpy())


def _with_studies(table: pd.DataFrame, study_score: str) -> pd.DataFrame:
    study, _ = pd.factorize(table["study"])
    by_study = score_units(table["probability"].to_numpy(), study, study_score)
    return table.assign(study_probability=by_study[study])


# Heatmaps of new images -------------------------------------------------------------------------


def _explain(
    run: Run,
    squares: Squares,
    table: pd.DataFrame,
    wanted: Sequence[Explainer],
    out: Path,
    readers: Readers,
) -> pd.DataFrame:
    """Draw each method's mean map of the run's networks; return rows of `heatmaps.csv`."""
    from mura_plugins.network import Network

    try:
        networks = [Network(model, run.config.layer or None) for model in run.networks]
    except NotApplicable as error:
        raise UsageError(f"--layer {run.config.layer}: {error}") from None
    drawn = []
    for method in wanted:
        try:
            maps, layer = _mean_maps(method, networks, squares.images, run.config.seed)
        except NotApplicable as error:
            log.warning("%s can't explain this network: %s", method.name, error)
            continue
        scale = _scale_of(run, method.name, layer)
        rows = write_heatmaps(
            out,
            method,
            layer,
            Path(),
            table,
            maps,
            style=run.config.style,
            fit=run.config.fit,
            readers=readers,
            scale=scale,
        )
        drawn.append(rows.assign(scale_of="run" if scale is not None else "images"))
        log.info("Drew %d heatmaps by %s", len(rows), method.name)
    if not drawn:
        names = ", ".join(method.name for method in wanted)
        raise UsageError(f"none of {names} can explain this network")
    heatmaps = pd.concat(drawn)
    write_csv(out / "heatmaps" / "heatmaps.csv", heatmaps)
    return heatmaps


def _mean_maps(
    method: Explainer, networks: Sequence[Network], images: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.float32], str | None]:
    """Return the mean of the networks' maps, (N, h, w), and the layer that was looked at."""
    function = resolve(method.explain)
    total: NDArray[np.float32] | None = None
    with progress(f"Explaining by {method.name}", "images") as so_far:
        for number, network in enumerate(networks):
            network.forget_what_was_looked_at()

            def of_all(done: int, count: int, number: int = number) -> None:
                so_far(number * count + done, len(networks) * count)

            maps = evidence(function, {0: network}, images, toward=1, seed=seed, progress=of_all)
            if total is None:
                total = maps
            else:
                total += maps
    assert total is not None, "a run has a network"
    total /= len(networks)
    return total, networks[0].looked_at


def _scale_of(run: Run, method: str, layer: str | None) -> float | None:
    """Return the scale of the run's own heatmaps by a method, or None if it has none like it."""
    path = run.folder / "heatmaps" / "heatmaps.csv"
    if run.config.style == "report2019" or not path.is_file():
        return None
    table = pd.read_csv(path, dtype={"layer": "str", "style": "str"})
    if not {"explainer", "layer", "style", "scale"} <= set(table):
        return None
    same = table[(table["explainer"] == method) & (table["style"] == run.config.style)]
    same = same[same["layer"].fillna("") == (layer or "")]
    # 0 where the run's own maps are all empty: there is nothing to compare with.
    return float(same["scale"].iloc[0]) or None if len(same) else None


def _write_page(
    run: Run, squares: Squares, table: pd.DataFrame, heatmaps: pd.DataFrame, out: Path
) -> None:
    using = Using(
        run.folder,
        networks=len(run.networks),
        points={level: run.point(level) for level in ("image", "study")},
        left_out=[str(error) for error in squares.left_out],
    )
    with replacing(out / PAGE) as file:
        file.write(predictions_page(using, table, heatmaps))
    log.info("Page: %s", out / PAGE)
