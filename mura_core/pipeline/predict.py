"""Predict new images with a finished run, or with saved models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import (
    UsualTraits,
    as_table,
    installed_readers,
    read_usual,
    unusual_images,
)
from mura_core.errors import DataError, UsageError, printable
from mura_core.evaluation import (
    MEAN,
    SAME_ANSWER,
    Floats,
    is_constant,
    score_units,
)
from mura_core.files import write_csv
from mura_core.imaging import Readers, image_files
from mura_core.pipeline.data import register_layers
from mura_core.pipeline.explained import explainers_named, network_to_explain
from mura_core.pipeline.finished_run import FinishedRun, judgement_of, load_run
from mura_core.pipeline.left_out import say_left_out
from mura_core.pipeline.predict_heatmaps import explain_new_images, write_page
from mura_core.pipeline.unusual import say_unusual
from mura_core.progress import progress
from mura_core.runs import (
    USUAL,
    config_of,
    new_run_folder,
    refuse_used_folder,
)
from mura_plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from mura_core.inference import Squares

log = logging.getLogger("mura")

LEFT_OUT, UNUSUAL = "left_out.csv", "unusual.csv"


def predict_by_models(
    model_files: Sequence[Path], sources: Sequence[Path], *, flip: bool = False, window: str = ""
) -> pd.DataFrame:
    """Return the mean predictions of saved models for new images.

    The images of one folder are one study, whose probability is their mean. Images that can't be
    read are left out with a warning.

    Parameters
    ----------
    model_files : sequence of Path
        Saved models, `model.keras`.
    sources : sequence of Path
        Image files, and folders of images.
    flip : bool
        Whether to average each image with its mirror image (left to right).
    window : str, optional
        Window of DICOM images, as "centre,width"; by default the file's own.

    Returns
    -------
    DataFrame
        One row per image: `path`, `study`, `logit` (of the mean probability), `probability`,
        `study_probability`.

    Raises
    ------
    DataError
        If a model can't be loaded or wasn't trained by `mura-run`, or no image can be read.
    """
    plugins = _start(seed=0)
    readers = installed_readers(plugins, window=window)

    from mura_core.inference import load_model, mean_logit, predict_logits, square_of

    models = [load_model(path) for path in model_files]
    squares = []
    for path, model in zip(model_files, models, strict=True):
        try:
            squares.append(square_of(model))
        except DataError as reason:
            raise DataError(f"{path}: {reason}") from None
    read = {
        square: _read(sources, square, readers, warn=number == 0)[0]
        for number, square in enumerate(dict.fromkeys(squares))
    }
    _unusual(read[squares[0]], None)
    votes = []
    with progress("Predicting", "images") as so_far:
        for number, (model, square) in enumerate(zip(models, squares, strict=True)):
            images = read[square].images
            votes.append(predict_logits(model, images, np.arange(len(images)), flip=flip))
            so_far((number + 1) * len(images), len(models) * len(images))
    for path, vote, square in zip(model_files, votes, squares, strict=True):
        if is_constant(vote) and np.ptp(read[square].images, axis=0).any():
            log.warning("%s: %s", path, SAME_ANSWER)
    logits = mean_logit(np.stack(votes, axis=1)).astype(np.float32)
    table = _table(read[squares[0]], logits)
    return _with_studies(table.assign(probability=_probability(table["logit"])), MEAN)


def predict_by_run(
    folder: Path,
    sources: Sequence[Path],
    *,
    explainers: Sequence[str] = (),
    out: Path | None = None,
) -> pd.DataFrame:
    """Return the predictions and verdicts of a finished run for new images.

    Within a fold, probabilities are averaged over seeds and then calibrated. The mean over folds
    is compared with the mean of the folds' operating points. The images of one folder are one
    study, whose probability is the run's study score.

    Parameters
    ----------
    folder : Path
        The run folder.
    sources : sequence of Path
        Image files, and folders of images.
    explainers : sequence of str
        Methods to draw heatmaps with.
    out : Path, optional
        New folder for `predictions.csv`, `left_out.csv`, `unusual.csv`, `heatmaps/` and a page;
        required with explainers.

    Returns
    -------
    DataFrame
        One row per image: `path`, `study`, `logit` (of the networks' mean probability, not
        calibrated), `probability`, `verdict`, `study_probability`, `study_verdict`.

    Raises
    ------
    UsageError
        If `folder` isn't a run folder, there are no sources, or no method can explain the network.
    DataError
        If the run isn't finished or gives the same output for every image, or no image can be read.
    """
    if not (folder / "config.yaml").is_file():
        raise UsageError(
            f"{folder} is not a run folder (it has no config.yaml); name a run before the images,"
            " or models with --model-file"
        )
    if not sources:
        raise UsageError(f"name images after the run {folder}: files, or folders of them")
    config, judgement = config_of(folder), judgement_of(folder)
    wanted = explainers_named(load_plugins(), explainers)
    if wanted:
        if out is None:
            raise UsageError("--explain needs --out FOLDER, for the heatmaps")
        refuse_used_folder(out)
    plugins = _start(config.seed)

    from mura_core.inference import square_of

    run = load_run(folder, judgement)
    networks = [network_to_explain(model, config.layer) for model in run.networks if wanted]
    readers = installed_readers(plugins, window=config.window)
    squares, left_out = _read(sources, square_of(run.networks[0]), readers, out if wanted else None)
    usual = read_usual(folder / USUAL) if (folder / USUAL).is_file() else None
    unusual = _unusual(squares, usual, out if wanted else None)
    table = _predict(run, squares)
    if wanted and out is not None:
        with new_run_folder(out):
            write_csv(out / "predictions.csv", table)
            write_csv(out / LEFT_OUT, left_out)
            write_csv(out / UNUSUAL, unusual)

            def reload() -> None:
                fresh = load_run(folder, judgement).networks
                networks[:] = [network_to_explain(model, config.layer) for model in fresh]

            drawn = explain_new_images(run, networks, squares, table, wanted, out, readers, reload)
            write_page(run, left_out, unusual, table, drawn, out)
    return table


def _start(seed: int) -> Plugins:
    from mura_core.inference import start_tensorflow

    start_tensorflow(seed)
    plugins = load_plugins()
    register_layers(plugins)
    return plugins


def _read(
    sources: Sequence[Path],
    square: Any,
    readers: Readers,
    out: Path | None = None,
    *,
    warn: bool = True,
) -> tuple[Squares, pd.DataFrame]:
    """Return the images that can be read, and `path` and `reason` of all other files."""
    from mura_core.inference import read_squares

    files = image_files(sources, readers)
    # Sorted by name, because the evaluation of a run sums a study's images in this order.
    paths = sorted(files.images, key=str)
    with progress("Reading", "images") as so_far:
        squares = read_squares(paths, square, readers, so_far)
    unreadable = pd.DataFrame(
        [(error.path, error.reason) for error in squares.left_out], columns=["path", "reason"]
    )
    left_out = pd.concat([unreadable, as_table(files.left_out)], ignore_index=True)
    if warn:
        listed_in = "by --verbose" if out is None else f"in {out / LEFT_OUT}"
        # Warnings, because standard output is for the table.
        level = logging.WARNING
        say_left_out(unreadable, len(paths), files.left_out, listed_in=listed_in, level=level)
        _list_if_verbose("Left out", left_out)
    if not squares.paths:
        raise DataError(f"none of the {len(paths)} images can be read")
    return squares, left_out


def _unusual(squares: Squares, usual: UsualTraits | None, out: Path | None = None) -> pd.DataFrame:
    """Return the images that are unlike the training images, and say so."""
    paths = [str(path) for path in squares.paths]
    unusual = unusual_images(paths, pd.DataFrame(squares.traits), usual)
    say_unusual(unusual, "by --verbose" if out is None else f"in {out / UNUSUAL}")
    _list_if_verbose("Unusual", unusual)
    return unusual


def _list_if_verbose(what: str, table: pd.DataFrame) -> None:
    if log.isEnabledFor(logging.DEBUG):
        for path, reason in table.itertuples(index=False):
            log.warning("%s: %s", what, printable(f"{path} {reason}"))


def _predict(run: FinishedRun, squares: Squares) -> pd.DataFrame:
    logits, probability = run.answers(squares.images, np.arange(len(squares.images)))
    table = _table(squares, logits).assign(probability=probability)
    table["verdict"] = run.point("image").verdicts(table["probability"].to_numpy())
    table = _with_studies(table, run.judgement.study_score)
    table["study_verdict"] = run.point("study").verdicts(table["study_probability"].to_numpy())
    return table


def _table(squares: Squares, logits: NDArray[np.float32]) -> pd.DataFrame:
    """Return one row per image, with the logit of the networks' mean probability."""
    return pd.DataFrame(
        {
            "path": [str(path) for path in squares.paths],
            "study": [str(path.parent) for path in squares.paths],
            "logit": logits,
        }
    )


def _probability(logits: pd.Series) -> Floats:
    from mura_core.inference import probability

    return probability(logits.to_numpy())


def _with_studies(table: pd.DataFrame, study_score: str) -> pd.DataFrame:
    study, _ = pd.factorize(table["study"])
    by_study = score_units(table["probability"].to_numpy(), study, study_score)
    return table.assign(study_probability=by_study[study])
