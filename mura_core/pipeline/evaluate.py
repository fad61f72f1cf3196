"""Evaluate the predictions of a run: figures, errors and comparisons."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mura_core.data import installed_readers
from mura_core.errors import MuraError
from mura_core.evaluation import (
    CONFIDENCE,
    DRAWS,
    FIGURES,
    SAME_ANSWER,
    STUDY_SCORES,
    Judgement,
    compare_judgements,
    compare_study_scores,
    compute_figures,
    constant_folds,
    errors_of,
    figures_of_folds,
    figures_of_seed,
    limits_of,
    spread_over,
)
from mura_core.files import write_csv
from mura_core.heatmaps import distraction, with_verdicts
from mura_core.pipeline.data import open_data
from mura_core.report import (
    comparison_as_text,
    distraction_in_words,
    draw_contact_sheets,
    figures_as_text,
    how_called,
    restarts_in_words,
    seeds_as_text,
    spread_as_text,
    study_scores_as_text,
    verdicts,
)
from mura_core.runs import (
    PHANTOMS,
    RUN_TABLES,
    RunConfig,
    config_of,
    judge_run,
    read_metrics,
    read_run_table,
    restarts_of,
    settings_of,
    write_metrics,
)

log = logging.getLogger("mura")

METRICS_VERSION = 2

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
    config = config_of(folder)
    settings = settings_of(folder) | {name: value for name, value in changed.items() if value}
    judgement = judge_run(folder, settings)
    rows = compute_figures(
        judgement.predictions,
        judgement.points,
        seed=config.seed,
        study_score=judgement.study_score,
    )
    by_score = {
        score: judge_run(folder, settings | {"study_score": score}) for score in STUDY_SCORES
    }
    metrics: dict[str, Any] = {
        "version": METRICS_VERSION,
        "validate": config.validate,
        **settings,
        "operating_points": _chosen_points(judgement),
        "temperatures": {
            fold: judged.temperature
            for fold, judged in judgement.folds.items()
            if judged.temperature is not None
        },
        "intervals": {
            "method": "percentiles of a bootstrap over patients",
            "confidence": CONFIDENCE,
            "draws": DRAWS,
            "seed": config.seed,
        },
        "figures": rows,
        "study_scores": compare_study_scores(by_score, seed=config.seed),
        "folds": [],
        "over_folds": [],
        "seeds": [],
        "over_seeds": [],
        "restarts": restarts_of(folder),
        "heatmaps": None,
    }
    if config.validate == "kfold":
        metrics["folds"] = figures_of_folds(
            judgement.predictions, judgement.points, judgement.study_score
        )
        metrics["over_folds"] = spread_over(metrics["folds"], "folds")
    if len(config.network_seeds) > 1:
        for seed in config.network_seeds:
            own = judge_run(folder, settings, seed=seed)
            metrics["seeds"] += figures_of_seed(seed, own.predictions, own.points, own.study_score)
        metrics["over_seeds"] = spread_over(metrics["seeds"], "seeds")
    if (folder / "metrics.json").is_file():
        # The scores of heatmaps depend only on the network; the verdicts without letters also
        # depend on the operating point and the calibration.
        metrics["heatmaps"] = heatmaps = read_metrics(folder).get("heatmaps")
        if heatmaps and (folder / _LETTERS).is_file():
            letters = read_run_table(folder, _LETTERS)
            known = heatmaps["distraction"]["letters"] == "known"
            explained = judge_run(folder, settings, seed=config.network_seeds[0])
            distracted = judge_letters(folder, letters, explained, config.seed, known=known)
            heatmaps["distraction"] = distracted
    write_metrics(folder, metrics)
    calibrated = judgement.predictions[["path", "fold", "logit", "probability"]]
    if settings["calibrate"] != "none":
        write_csv(folder / "calibrated.csv", calibrated)
    else:
        (folder / "calibrated.csv").unlink(missing_ok=True)
    _say_figures(metrics, phantoms=config.data == PHANTOMS)
    _write_mistakes(folder, config, judgement)


def judge_letters(
    folder: Path, table: pd.DataFrame, judgement: Judgement, seed: int, *, known: bool
) -> dict[str, Any]:
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
    dict
        The key `distraction` of `heatmaps` in `metrics.json`.
    """
    table = with_verdicts(table, judgement.points, judgement.calibrations)
    write_csv(folder / _LETTERS, table[list(RUN_TABLES[_LETTERS])])
    figures = distraction(table, seed)
    return {
        "letters": "known" if known else "detected",
        "in_words": distraction_in_words(figures, known=known),
        "figures": figures,
    }


def compare_runs(first: Path, second: Path) -> pd.DataFrame:
    """Return the differences in figures of two runs on the same images, and log the main ones.

    Parameters
    ----------
    first, second : Path
        The run folders.

    Returns
    -------
    DataFrame
        One row per level, body part and figure: `level, body_part, figure, count, abnormal,
        patients, first, second, difference, low, high, delong, mcnemar, not_given`. The p-values
        `delong` and `mcnemar` are given for AUROC and for accuracy.

    Raises
    ------
    DataError
        If a run isn't finished, or the runs were evaluated on different images.
    """
    runs = [judge_run(folder) for folder in (first, second)]
    rows = compare_judgements(*runs, seed=config_of(first).seed)
    log.info("First: %s\nSecond: %s; differences are second minus first", first, second)
    said: dict[Any, str] = {}
    for level in dict.fromkeys(row["level"] for row in rows):
        whole = next(row for row in rows if row["level"] == level)
        points = [_points(_chosen_points(run), level) for run in runs]
        if _says_same(said, (whole["count"], str(points)), level, "By"):
            continue
        log.info(
            "\nBy %s, %s: %d, of %d patients\n%s",
            level.replace("_", " "), whole["body_part"], whole["count"], whole["patients"],
            comparison_as_text(whole),
        )  # fmt: skip
    return pd.DataFrame(line for row in rows for line in _lines(row))


def _lines(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    tests = {"auroc": {"delong": row["delong"]}, "accuracy": {"mcnemar": row["mcnemar"]}}
    for figure in FIGURES:
        numbers = (row["figures"] or {}).get(figure)
        low, high = (numbers and numbers["interval"]) or (None, None)
        yield (
            {"level": row["level"], "body_part": row["body_part"], "figure": figure}
            | {name: row[name] for name in ("count", "abnormal", "patients")}
            | {name: numbers and numbers[name] for name in ("first", "second", "difference")}
            | {"low": low, "high": high, "delong": None, "mcnemar": None}
            | tests.get(figure, {})
            | {"not_given": row["not_given"]}
        )


def _say_figures(metrics: dict[str, Any], *, phantoms: bool) -> None:
    for sentence in restarts_in_words(metrics["restarts"]):
        log.info(sentence)
    rows = metrics["figures"]
    folds = {row["level"]: row for row in metrics["over_folds"]}
    seeds = {row["level"]: row for row in metrics["over_seeds"]}
    of_phantoms = " of phantoms" if phantoms else ""
    said: dict[Any, str] = {}
    for level in dict.fromkeys(row["level"] for row in rows):
        chosen = [row for row in rows if row["level"] == level]
        points = str(_points(metrics["operating_points"], level))
        if _says_same(said, (chosen[0]["count"], points), level, f"Validation{of_phantoms}, by"):
            continue
        log.info(
            "\nValidation%s, by %s (%s)\n%s",
            of_phantoms, level.replace("_", " "), how_called(metrics, level),
            figures_as_text(chosen),
        )  # fmt: skip
        if level in folds:
            log.info("Mean and deviation over the folds: %s", spread_as_text(folds[level]))
        if level in seeds:
            of_level = [row for row in metrics["seeds"] if row["level"] == level]
            log.info("The figures above average %d seeds. Each seed separately:", len(of_level))
            log.info("%s", seeds_as_text(of_level))
            log.info("Mean and deviation over the seeds: %s", spread_as_text(seeds[level]))
        for sentence in verdicts(chosen[0]):
            log.info(sentence)
    if scores := study_scores_as_text(metrics["study_scores"], metrics["study_score"]):
        log.info("\n%s", scores)


def _says_same(said: dict[Any, str], judged: Any, level: str, start: str) -> bool:
    """Log that a level has the units and operating points of an earlier one; False if not.

    Each level groups the units of the one before, so that equal counts mean equal units.
    """
    earlier = said.setdefault(judged, level)
    if earlier == level:
        return False
    names = (level.replace("_", " "), earlier.replace("_", " "))
    log.info("\n%s %s: same as by %s, because the units are the same", start, *names)
    return True


def _chosen_points(judgement: Judgement) -> list[dict[str, Any]]:
    return [
        {"level": level, "fold": fold, **asdict(chosen.point)}
        | {"count": chosen.count, "abnormal": chosen.abnormal}
        for fold, judged in judgement.folds.items()
        for level, chosen in judged.points.items()
    ]


def _points(chosen: list[dict[str, Any]], level: str) -> list[tuple[float | None, ...]]:
    names = ("normal_below", "threshold")
    return [tuple(row[name] for name in names) for row in chosen if row["level"] == level]


def _write_mistakes(folder: Path, config: RunConfig, judgement: Judgement) -> None:
    judged = judgement.predictions
    judged = judged[~judged["fold"].isin(constant_folds(judged))]
    mistakes = errors_of(judged, judgement.points)
    write_csv(folder / "errors.csv", mistakes)
    if judged.empty:
        log.warning("No errors are listed, because %s.", SAME_ANSWER)
        return
    try:
        readers = installed_readers()
        manifest = open_data(config.data, config.body_part, config.seed, config.validate, readers)
        _warn_of_corrections(manifest.table, judgement.predictions)
        sheets = list(draw_contact_sheets(mistakes, manifest.folder, folder, readers))
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
