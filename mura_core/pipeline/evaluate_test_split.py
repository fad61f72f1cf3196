"""Evaluate a finished run on the data's own test images, which no choice depends on."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mura_core.data import COLUMNS, LEVELS, PreparedImages, installed_readers, part_rates
from mura_core.errors import DataError, UsageError
from mura_core.evaluation import (
    ChosenPoint,
    FoldJudgement,
    Judgement,
    compute_figures,
    constant_output,
    errors_of,
)
from mura_core.files import remove_leftovers, write_csv
from mura_core.pipeline.data import (
    open_data_of,
    prepare_images,
    register_layers,
)
from mura_core.pipeline.evaluate import intervals_of, level_points, say_figures
from mura_core.pipeline.finished_run import FinishedRun, load_run
from mura_core.runs import (
    TEST,
    Metrics,
    config_of,
    judge_run,
    read_run_table,
    refuse_other_data,
    settings_of,
    write_metrics,
)
from mura_core.tables import read_table
from mura_plugins.manager import load_plugins

log = logging.getLogger("mura")

_JUDGEMENTS = f"{TEST}/judgements.csv"


def evaluate_test(folder: Path, **changed: str | None) -> None:
    """Predict and judge the test images of a run, and write the folder `test/`.

    The networks of all folds and seeds are averaged. Calibrations and operating points are those
    that were chosen on training patients.

    Parameters
    ----------
    folder : Path
        The run folder.
    **changed : str or None
        `operating_point`, `calibrate` or `study_score`. Those not given, or None, are as in the
        last evaluation of the run, or as in its `config.yaml`.

    Raises
    ------
    UsageError
        The data has no test images.
    DataError
        The run isn't finished, gives every image the same answer, or its data has changed.
    """
    remove_leftovers(folder, below=True)
    config = config_of(folder)
    settings = settings_of(folder) | {name: value for name, value in changed.items() if value}
    splits = read_run_table(folder, "splits.csv")
    if not (splits["split"] == "test").any():
        raise UsageError(
            f"--split test: the run {folder} has no test images. Name a split 'test' in the data,"
            " next to 'train' and 'valid', and train again. Without 'valid', 'test' was used for"
            " validation"
        )
    judgement = judge_run(folder, settings)
    if reason := constant_output(judgement.predictions):
        raise DataError(f"{folder}: {reason}")
    earlier = _earlier(folder)
    prepared = _prepare(folder, splits)
    tested = _judge(load_run(folder, judgement), prepared, splits)
    judged = (tested.predictions, tested.points)
    figures = compute_figures(*judged, seed=config.seed, study_score=tested.study_score)
    metrics = Metrics(
        validate=config.validate,
        operating_point=settings["operating_point"],
        calibrate=settings["calibrate"],
        study_score=settings["study_score"],
        operating_points=level_points(tested),
        temperatures={},
        intervals=intervals_of(config.seed),
        figures=tuple(figures),
        study_scores=(),
    )
    own = folder / TEST
    own.mkdir(exist_ok=True)
    write_csv(own / "predictions.csv", tested.predictions)
    write_csv(own / "errors.csv", errors_of(*judged))
    write_metrics(own, metrics)
    now = {"judged": datetime.now(UTC).isoformat(timespec="seconds"), **settings}
    write_csv(own / "judgements.csv", pd.DataFrame([*earlier, now]))
    say_figures(metrics, "Test")
    log.info("\nPredictions, figures and errors: %s", own)


def _earlier(folder: Path) -> list[dict[Hashable, Any]]:
    """Return when and how the test images were judged before, and warn if they were."""
    if not (folder / _JUDGEMENTS).is_file():
        return []
    earlier = read_table(folder / _JUDGEMENTS).to_dict("records")
    log.warning(
        "The test images of this run were judged before (%s). Figures are too good if a choice was"
        " made by looking at them.",
        ", ".join(str(row["judged"]) for row in earlier),
    )
    return earlier


def _prepare(folder: Path, splits: pd.DataFrame) -> PreparedImages:
    """Return the prepared images, with the rows of the run's `splits.csv`."""
    from mura_core.inference import start_tensorflow

    config = config_of(folder)
    start_tensorflow(config.seed)
    plugins = load_plugins()
    register_layers(plugins)
    readers = installed_readers(plugins, window=config.window)
    manifest = open_data_of(config, readers)
    prepared = prepare_images(manifest, config, readers)
    if len(prepared.table) != len(splits):
        raise DataError(f"{folder}: was trained on other data; start a new run")
    refuse_other_data(folder, prepared.table.assign(split=splits["split"].to_numpy()))
    return prepared


def _judge(run: FinishedRun, prepared: PreparedImages, splits: pd.DataFrame) -> Judgement:
    rows = np.flatnonzero(splits["split"] == "test")
    logits, probability = run.answers(prepared.images, rows)
    prepared.refuse_changed()
    table = splits.iloc[rows][COLUMNS].reset_index(drop=True)
    predictions = table.assign(
        fold=0,
        logit=logits,
        probability=probability,
        part_rate=part_rates(splits, table["body_part"]),
    )
    points = {level: ChosenPoint(run.point(level)) for level in LEVELS}
    return Judgement(predictions, {0: FoldJudgement(points)}, run.judgement.study_score)
