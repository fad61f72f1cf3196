"""Evaluate the predictions of a run: figures and errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mura_core.data import installed_readers
from mura_core.errors import MuraError
from mura_core.evaluation import (
    CONFIDENCE,
    DRAWS,
    SAME_ANSWER,
    STUDY_SCORES,
    Judgement,
    RepeatFigures,
    compare_study_scores,
    compute_figures,
    constant_folds,
    errors_of,
    figures_of_folds,
    figures_of_seed,
    limits_of,
    of_level,
    spread_over,
)
from mura_core.files import remove_leftovers, write_csv
from mura_core.heatmaps import Distraction, HeatmapScores, distraction, with_verdicts
from mura_core.pipeline.data import open_data_of
from mura_core.report import (
    draw_contact_sheets,
    figures_as_text,
    how_called,
    restarts_in_words,
    same_levels,
    seeds_as_text,
    spread_as_text,
    study_scores_as_text,
    verdicts,
)
from mura_core.runs import (
    PHANTOMS,
    RUN_TABLES,
    Bootstrap,
    LevelPoint,
    Metrics,
    RunConfig,
    config_of,
    judge_run,
    last_metrics,
    read_run_table,
    restarts_of,
    settings_of,
    write_metrics,
)

log = logging.getLogger("mura")

_LETTERS = "heatmaps/letters.csv"


def evaluate_run(folder: Path, **changed: str | None) -> None:
    """Evaluate `predictions.csv`, log the figures, and write `metrics.json` and `errors.csv`.

    Parameters
    ----------
    folder : Path
        The run folder.
    **changed : str or None
        `operating_point`, `calibrate` or `study_score`. Those not given, or None, are as in the
        last evaluation of the run, or as in its `config.yaml`.
    """
    remove_leftovers(folder, below=True)
    config = config_of(folder)
    settings = settings_of(folder) | {name: value for name, value in changed.items() if value}
    last = last_metrics(folder)
    judgement = judge_run(folder, settings)
    metrics = _metrics_of(folder, config, settings, judgement)
    if last and last.heatmaps:
        heatmaps = _with_letters_judged(folder, config, settings, last.heatmaps)
        metrics = replace(metrics, heatmaps=heatmaps)
    write_metrics(folder, metrics)
    calibrated = judgement.predictions[["path", "fold", "logit", "probability"]]
    if settings["calibrate"] != "none":
        write_csv(folder / "calibrated.csv", calibrated)
    else:
        (folder / "calibrated.csv").unlink(missing_ok=True)
    say_figures(metrics, f"Validation{' of phantoms' * (config.data == PHANTOMS)}")
    _write_mistakes(folder, config, judgement)


def _metrics_of(
    folder: Path, config: RunConfig, settings: Mapping[str, str], judgement: Judgement
) -> Metrics:
    """Return the figures of a run, without the scores of heatmaps."""
    by_score = {
        score: judge_run(folder, {**settings, "study_score": score})
        for score in STUDY_SCORES
        if score != judgement.study_score
    } | {judgement.study_score: judgement}
    judged = (judgement.predictions, judgement.points)
    folds: list[RepeatFigures] = []
    if config.validate == "kfold":
        folds = figures_of_folds(*judged, judgement.study_score)
    seeds: list[RepeatFigures] = []
    for seed in config.network_seeds if len(config.network_seeds) > 1 else ():
        own = judge_run(folder, settings, seed=seed)
        seeds += figures_of_seed(seed, own.predictions, own.points, own.study_score)
    return Metrics(
        validate=config.validate,
        operating_point=settings["operating_point"],
        calibrate=settings["calibrate"],
        study_score=settings["study_score"],
        operating_points=level_points(judgement),
        temperatures={
            fold: judged.temperature
            for fold, judged in judgement.folds.items()
            if judged.temperature is not None
        },
        intervals=intervals_of(config.seed),
        figures=tuple(
            compute_figures(*judged, seed=config.seed, study_score=judgement.study_score)
        ),
        study_scores=tuple(compare_study_scores(by_score, seed=config.seed)),
        folds=tuple(folds),
        over_folds=tuple(spread_over(folds)),
        seeds=tuple(seeds),
        over_seeds=tuple(spread_over(seeds)),
        restarts=restarts_of(folder),
    )


def intervals_of(seed: int) -> Bootstrap:
    """Return how the intervals of figures are computed.

    Parameters
    ----------
    seed : int
        Random seed of the bootstrap.
    """
    return Bootstrap("percentiles of a bootstrap over patients", CONFIDENCE, DRAWS, seed)


def _with_letters_judged(
    folder: Path, config: RunConfig, settings: Mapping[str, str], scores: HeatmapScores
) -> HeatmapScores:
    """Return the scores of heatmaps with the verdicts without letters judged again.

    They depend on the operating point and the calibration, the other scores only on the network.
    """
    if not (folder / _LETTERS).is_file():
        return scores
    letters = read_run_table(folder, _LETTERS)
    explained = judge_run(folder, settings, seed=config.network_seeds[0])
    known = scores.distraction.letters == "known"
    return replace(
        scores, distraction=judge_letters(folder, letters, explained, config.seed, known=known)
    )


def judge_letters(
    folder: Path, table: pd.DataFrame, judgement: Judgement, seed: int, *, known: bool
) -> Distraction:
    """Return how much the network relies on letters, and write `heatmaps/letters.csv`.

    Parameters
    ----------
    folder : Path
        The run folder.
    table : DataFrame
        Logits with and without letters, as returned by `heatmaps.without_letters`.
    judgement : Judgement
        Operating points and calibrations of the networks.
    seed : int
        Random seed of the bootstrap over patients.
    known : bool
        True if the data gives the positions of letters, False if they were detected.

    Returns
    -------
    Distraction
    """
    table = with_verdicts(table, judgement.points, judgement.calibrations)
    write_csv(folder / _LETTERS, table[list(RUN_TABLES[_LETTERS])])
    return Distraction("known" if known else "detected", tuple(distraction(table, seed)))


def level_points(judgement: Judgement) -> tuple[LevelPoint, ...]:
    """Return the operating points of a judgement, and what they were chosen on.

    Parameters
    ----------
    judgement : Judgement
        The judged predictions.
    """
    return tuple(
        LevelPoint(
            level,
            fold,
            chosen.point.threshold,
            chosen.point.normal_below,
            chosen.count,
            chosen.abnormal,
        )
        for fold, judged in judgement.folds.items()
        for level, chosen in judged.points.items()
    )


def say_same(level: str, earlier: str, start: str) -> None:
    """Log that a level has the units and operating points of an earlier one.

    Parameters
    ----------
    level, earlier : str
        Two of `LEVELS`.
    start : str
        Start of the line.
    """
    names = (level.replace("_", " "), earlier.replace("_", " "))
    log.info("\n%s %s: same as by %s, because the units are the same", start, *names)


def say_figures(metrics: Metrics, said_of: str) -> None:
    """Log the figures of a run.

    Parameters
    ----------
    metrics : Metrics
        The figures.
    said_of : str
        What was judged, such as "Validation of phantoms".
    """
    for sentence in restarts_in_words(metrics.restarts):
        log.info(sentence)
    folds = {one.level: one for one in metrics.over_folds}
    seeds = {one.level: one for one in metrics.over_seeds}
    for level, first in same_levels(metrics).items():
        if first != level:
            say_same(level, first, f"{said_of}, by")
            continue
        rows = of_level(metrics.figures, level)
        log.info(
            "\n%s, by %s (%s)\n%s",
            said_of, level.replace("_", " "), how_called(metrics, level),
            figures_as_text(rows),
        )  # fmt: skip
        if level in folds:
            log.info("Mean and deviation over the folds: %s", spread_as_text(folds[level]))
        if level in seeds:
            repeats = [row for row in metrics.seeds if row.level == level]
            log.info("The figures above average %d seeds. Each seed separately:", len(repeats))
            log.info("%s", seeds_as_text(repeats))
            log.info("Mean and deviation over the seeds: %s", spread_as_text(seeds[level]))
        for sentence in verdicts(rows[0]):
            log.info(sentence)
    if scores := study_scores_as_text(metrics.study_scores, metrics.study_score):
        log.info("\n%s", scores)


def _write_mistakes(folder: Path, config: RunConfig, judgement: Judgement) -> None:
    judged = judgement.predictions
    judged = judged[~judged["fold"].isin(constant_folds(judged))]
    mistakes = errors_of(judged, judgement.points)
    write_csv(folder / "errors.csv", mistakes)
    if judged.empty:
        log.warning("No errors are listed, because %s.", SAME_ANSWER)
        return
    try:
        readers = installed_readers(window=config.window)
        manifest = open_data_of(config, readers)
        _warn_of_corrections(manifest.table, judgement.predictions)
        sheets = list(
            draw_contact_sheets(mistakes, manifest.folder, folder, readers, config.bit_depth)
        )
    except MuraError as error:
        log.warning("The contact sheets of errors weren't drawn: %s", error)
        return
    low, high = limits_of(judged["fold"], "image", judgement.points)
    uncertain = int(judged["probability"].between(low, high, inclusive="left").sum())
    log.info(
        "\n%d of %d images were misclassified%s: errors.csv%s",
        len(mistakes), len(judged), f", {uncertain} uncertain" if uncertain else "",
        f"; the most confident of each body part: {folder / 'errors'}" if sheets else "",
    )  # fmt: skip


def _warn_of_corrections(today: pd.DataFrame, judged: pd.DataFrame) -> None:
    """Log a warning if the data has changed since the run, whose figures use the old labels."""
    columns = ["body_part", "patient", "study", "label"]
    both = judged.merge(today, on="path", suffixes=("", "_today"))
    corrected = [name for name in columns if (both[name] != both[f"{name}_today"]).any()]
    if corrected:
        log.warning(
            "The data has changed since this run was trained (%s). Its figures use the old values;"
            " train again to use the new ones.",
            ", ".join(corrected),
        )
