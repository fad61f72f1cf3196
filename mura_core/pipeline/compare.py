"""Compare the figures of two runs on the same images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from mura_core.data import LEVELS
from mura_core.evaluation import FIGURES, Comparison, compare_judgements
from mura_core.pipeline.evaluate import level_points, say_same
from mura_core.report import comparison_as_text, first_alike, limits_at
from mura_core.runs import config_of, judge_run

log = logging.getLogger("mura")


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
    points = [level_points(run) for run in runs]
    wholes = {row.level: row for row in reversed(rows)}  # the first of each level is of all parts
    alike = first_alike(
        (level, (wholes[level].count, *(limits_at(some, level) for some in points)))
        for level in LEVELS
        if level in wholes
    )
    for level, first_level in alike.items():
        if first_level != level:
            say_same(level, first_level, "By")
            continue
        whole = wholes[level]
        log.info(
            "\nBy %s, %s: %d, of %d patients\n%s",
            level.replace("_", " "), whole.body_part, whole.count, whole.patients,
            comparison_as_text(whole),
        )  # fmt: skip
    return pd.DataFrame(line for row in rows for line in _lines(row))


def _lines(row: Comparison) -> Iterator[dict[str, object]]:
    tests = {"auroc": {"delong": row.delong}, "accuracy": {"mcnemar": row.mcnemar}}
    for name in FIGURES:
        figure = row.figures.get(name)
        low, high = (figure and figure.interval) or (None, None)
        yield {
            "level": row.level,
            "body_part": row.body_part,
            "figure": name,
            "count": row.count,
            "abnormal": row.abnormal,
            "patients": row.patients,
            "first": figure and figure.first,
            "second": figure and figure.second,
            "difference": figure and figure.difference,
            "low": low,
            "high": high,
            "delong": None,
            "mcnemar": None,
            **tests.get(name, {}),
            "not_given": row.not_given,
        }
