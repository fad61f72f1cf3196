"""Format figures as tables and sentences for the console and the report."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mura_core.evaluation import (
    BASELINES,
    BEATEN_BY,
    COMPARED,
    FIGURES,
    Comparison,
    Figures,
    LevelSpread,
    RepeatFigures,
    StudyScoreFigures,
)
from mura_core.runs import Metrics, Restart

# How a study's probability is computed from its images'.
SCORE_NAMES = {
    "mean": "mean of the images",
    "max": "maximum of the images",
    "noisy-or": "noisy-or of the images",
}

_UNITS = {"image": "images of ", "study": "studies of "}


def figures_as_text(rows: Sequence[Figures]) -> str:
    """Format the figures of one level, with intervals, as a table.

    Parameters
    ----------
    rows : sequence of Figures
        Rows of one level.
    """
    table = pd.DataFrame(
        {"part": row.body_part, "n": row.counts.count, "abnormal": row.counts.abnormal}
        | {
            FIGURES[name].title: with_interval(row.estimates[name], row.intervals[name])
            for name in shown_figures(rows)
        }
        | {
            BASELINES[name]: with_interval(one.estimates["accuracy"] if one else None, None)
            for name, one in row.baselines.items()
        }
        | {"": f"not given: {row.not_given}" if row.not_given else ""}
        for row in rows
    )
    return table.to_string(index=False)


def with_interval(number: float | None, bounds: Sequence[float] | None) -> str:
    """Format a number and its interval, such as `0.812 (0.780-0.841)`.

    Parameters
    ----------
    number : float or None
        None gives `-`.
    bounds : sequence of two floats, optional
        Ends of the interval; None gives only the number.
    """
    if number is None:
        return "-"
    return f"{number:.3f}" + (f" ({bounds[0]:.3f}-{bounds[1]:.3f})" if bounds else "")


def verdicts(row: Figures) -> list[str]:
    """Return one sentence per baseline that says whether the network beats it, and by how much.

    Parameters
    ----------
    row : Figures
        Figures of a level and body part.
    """
    sentences = []
    for name, baseline in row.baselines.items():
        if baseline is None:
            continue
        clauses = []
        for figure in BEATEN_BY:
            lead = baseline.beaten_by[figure]
            if lead.difference is None:
                continue
            verb = "beats" if lead.beats else "does not beat"
            numbers = f"{row.estimates[figure]:.3f} against {baseline.estimates[figure]:.3f}"
            if bounds := lead.interval:
                numbers += f"; difference {bounds[0]:+.3f} to {bounds[1]:+.3f}"
            clauses.append(f"{verb} it by {FIGURES[figure].title} ({numbers})")
        joined = " and ".join(clauses)
        sentences.append(f"{BASELINES[name].capitalize()}: the network {joined}.")
    return sentences


def tell_scores_apart(rows: Sequence[StudyScoreFigures]) -> bool:
    """Return whether study scores can differ: a study has several images, and figures are given.

    Parameters
    ----------
    rows : sequence of StudyScoreFigures
        Figures with each study score.
    """
    return any(row.not_given is None and row.count < row.images for row in rows)


def study_scores_as_text(rows: Sequence[StudyScoreFigures], used: str) -> str:
    """Format the figures of each study score as a table; empty if they can't differ.

    Parameters
    ----------
    rows : sequence of StudyScoreFigures
        Figures with each study score.
    used : {"mean", "max", "noisy-or"}
        The study score of the run's other figures.
    """
    if not tell_scores_apart(rows):
        return ""
    table = pd.DataFrame(
        {"study score": SCORE_NAMES[row.study_score]}
        | {
            FIGURES[name].title: with_interval(row.estimates[name], row.intervals[name])
            for name in shown_figures(rows, COMPARED)
        }
        | {"": "used above" if row.study_score == used else ""}
        for row in rows
    )
    return f"Studies, by study score\n{table.to_string(index=False)}"


def seeds_as_text(rows: Sequence[RepeatFigures]) -> str:
    """Format the figures of one level for each of several seeds as a table.

    Parameters
    ----------
    rows : sequence of RepeatFigures
        Figures of each seed at one level.
    """
    table = pd.DataFrame(
        {"seed": row.repeat}
        | {
            FIGURES[name].title: with_interval(row.estimates[name], None)
            for name in shown_figures(rows)
        }
        | {"": f"not given: {row.not_given}" if row.not_given else ""}
        for row in rows
    )
    return table.to_string(index=False)


def spread_as_text(level: LevelSpread) -> str:
    """Format the mean and standard deviation of a level's headline figures over folds or seeds.

    Parameters
    ----------
    level : LevelSpread
        Spread of the figures of a level.
    """
    return ", ".join(
        f"{FIGURES[name].title} {spread.mean:.3f} ± {spread.deviation:.3f}"
        for name in headline_figures()
        if (spread := level.spreads[name])
    )


def how_called(metrics: Metrics, level: str) -> str:
    """Describe the operating point of a level and how it was chosen.

    Parameters
    ----------
    metrics : Metrics
        The contents of `metrics.json`.
    level : str
        One of `LEVELS`.
    """
    points = [point for point in metrics.operating_points if point.level == level]
    text = f"abnormal at a probability of {_range([one.threshold for one in points])} or more"
    lows = [point.normal_below for point in points if point.normal_below is not None]
    if lows and lows != [point.threshold for point in points]:
        text += f", normal below {_range(lows)}, uncertain between"
    if points[0].count is None:
        return text
    where = (
        "on the other folds"
        if metrics.validate == "kfold"
        else f"on {points[0].count} {_UNITS.get(level, '')}held-out training patients"
    )
    return f"{text}, by {metrics.operating_point} {where}"


def _range(values: Sequence[float]) -> str:
    """Return such as `0.31 to 0.35`, or one number if both ends round to it."""
    ends = (f"{end:.3g}" for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def headline_figures() -> tuple[str, ...]:
    """Return the names of the figures in the first table; the report shows the others below."""
    return tuple(name for name, figure in FIGURES.items() if figure.is_headline)


def shown_figures(
    rows: Sequence[Figures | RepeatFigures | StudyScoreFigures],
    names: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Return the names of the figures to show, with the uncertain share if it is defined.

    Parameters
    ----------
    rows : sequence of Figures, RepeatFigures or StudyScoreFigures
        Rows of a table.
    names : tuple of str, optional
        By default the headline figures.
    """
    names = headline_figures() if names is None else names
    two_points = any(row.estimates.get("uncertain_share") is not None for row in rows)
    return (*names, "uncertain_share") if two_points else names


def comparison_as_text(row: Comparison) -> str:
    """Format the differences of two runs as a table, followed by the p-values.

    Parameters
    ----------
    row : Comparison
        Figures of both runs for one level and body part.
    """
    if row.not_given:
        return f"not given: {row.not_given}"
    table = pd.DataFrame(
        {
            "": FIGURES[name].title,
            "first": f"{one.first:.3f}",
            "second": f"{one.second:.3f}",
            "difference": f"{one.difference:+.3f}",
            "95 % interval": "{:+.3f} to {:+.3f}".format(*one.interval) if one.interval else "-",
        }
        for name, one in row.figures.items()
        if one
    )
    tests = (
        "no p-values: several units of the same patient aren't independent"
        if row.delong is None
        else f"AUROC by DeLong: p = {row.delong:.3g}; accuracy by McNemar: p = {row.mcnemar:.3g}"
    )
    return f"{table.to_string(index=False)}\n{tests}"


def restarts_in_words(restarts: Sequence[Restart]) -> list[str]:
    """Return one sentence per training that collapsed.

    Parameters
    ----------
    restarts : sequence of Restart
        The trainings.
    """
    sentences = []
    for one in restarts:
        fold = f", fold {one.fold}" if one.fold else ""
        where = f"from seed {one.seed}{fold} collapsed in epoch {one.epoch}"
        sentences.append(f"The training {where}: {one.reason}.")
    return sentences
