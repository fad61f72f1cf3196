"""The figures as tables and sentences to read on a console or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mura_core.evaluation import BASELINES, BEATEN_BY, COMPARED, FIGURES

# Of a study's images.
SCORE_NAMES = {"mean": "their mean", "max": "the highest", "noisy-or": "noisy-or"}

_UNITS = {"image": "images of ", "study": "studies of "}


def figures_as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of one level as a table, intervals beside the numbers."""
    table = pd.DataFrame(
        {"part": row["body_part"], "n": row["count"], "abnormal": row["abnormal"]}
        | {
            FIGURES[name].title: with_interval(row[name], row["intervals"][name])
            for name in shown_figures(rows)
        }
        | {
            f"{BASELINES[name]}": "-" if baseline is None else f"{baseline['accuracy']:.3f}"
            for name, baseline in row["baselines"].items()
        }
        | {"": f"not given: {row['not_given']}" if row["not_given"] else ""}
        for row in rows
    )
    return table.to_string(index=False)


def with_interval(number: float | None, bounds: Sequence[float] | None) -> str:
    """Return such as `0.812 (0.780 to 0.841)`, or `-` for no number."""
    if number is None:
        return "-"
    return f"{number:.3f}" + (f" ({bounds[0]:.3f}-{bounds[1]:.3f})" if bounds else "")


def verdicts(row: Mapping[str, Any]) -> list[str]:
    """Return a sentence on each baseline: whether the network beats it, and by how much."""
    if row["not_given"]:
        return []
    sentences = []
    for name, baseline in row["baselines"].items():
        clauses = []
        for figure in BEATEN_BY:
            beaten = baseline["beaten_by"][figure]
            if beaten["difference"] is None:
                continue
            verb = "beats" if beaten["beats"] else "does not beat"
            numbers = f"{row[figure]:.3f} against {baseline[figure]:.3f}"
            if bounds := beaten["interval"]:
                numbers += f"; difference {bounds[0]:+.3f} to {bounds[1]:+.3f}"
            clauses.append(f"{verb} it by {FIGURES[figure].title} ({numbers})")
        joined = " and ".join(clauses)
        sentences.append(f"{BASELINES[name].capitalize()}: the network {joined}.")
    return sentences


def tell_scores_apart(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether study scores can differ: some study has several images, and has figures."""
    return any(row["not_given"] is None and row["count"] < row["images"] for row in rows)


def study_scores_as_text(rows: Sequence[Mapping[str, Any]], used: str) -> str:
    """Return the study scores' figures as a table, or nothing where they can't differ.

    Parameters
    ----------
    rows : sequence
        As of `study_scores.compare_study_scores`.
    used : str
        The study score of the other figures.
    """
    if not tell_scores_apart(rows):
        return ""
    table = pd.DataFrame(
        {"a study's probability": SCORE_NAMES[row["study_score"]]}
        | {
            FIGURES[name].title: with_interval(row[name], row["intervals"][name])
            for name in shown_figures(rows, COMPARED)
        }
        | {"": "used above" if row["study_score"] == used else ""}
        for row in rows
    )
    return f"Studies, by each way to score one from its images\n{table.to_string(index=False)}"


def seeds_as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of one level by each of several seeds as a table."""
    table = pd.DataFrame(
        {"seed": row["seed"]}
        | {FIGURES[name].title: with_interval(row[name], None) for name in shown_figures(rows)}
        | {"": f"not given: {row['not_given']}" if row["not_given"] else ""}
        for row in rows
    )
    return table.to_string(index=False)


def spread_as_text(summary: Mapping[str, Any]) -> str:
    """Return the mean and the standard deviation of a level's figures over folds or seeds."""
    return ", ".join(
        f"{FIGURES[name].title} {spread['mean']:.3f} ± {spread['deviation']:.3f}"
        for name in headline_figures()
        if (spread := summary[name])
    )


def how_called(metrics: Mapping[str, Any], level: str) -> str:
    """Return from what probability units of a level are called abnormal, and how that was found."""
    points = [row for row in metrics["operating_points"] if row["level"] == level]
    text = f"abnormal at a probability of {_range([row['threshold'] for row in points])} or more"
    lows = [row["normal_below"] for row in points if row.get("normal_below") is not None]
    if lows and lows != [row["threshold"] for row in points]:
        text += f", normal below {_range(lows)}, uncertain between"
    if points[0]["count"] is None:
        return text
    where = (
        "on the other folds"
        if metrics["validate"] == "kfold"
        else f"on {points[0]['count']} {_UNITS.get(level, '')}held-out training patients"
    )
    return f"{text}, by {metrics['operating_point']} {where}"


def _range(values: Sequence[float]) -> str:
    """Return such as `0.31 to 0.35`, or one number where they round to the same."""
    ends = (f"{end:.3g}" for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def headline_figures() -> tuple[str, ...]:
    """Return the figures of the first table; the page has the others below."""
    return tuple(name for name, figure in FIGURES.items() if figure.is_headline)


def shown_figures(
    rows: Sequence[Mapping[str, Any]], names: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Return the figures to show: with two operating points also the uncertain share."""
    names = headline_figures() if names is None else names
    two_points = any(row.get("uncertain_share") is not None for row in rows)
    return (*names, "uncertain_share") if two_points else names


def comparison_as_text(row: Mapping[str, Any]) -> str:
    """Return the differences of two runs at one level as a table, and what the tests say."""
    if row["not_given"]:
        return f"not given: {row['not_given']}"
    table = pd.DataFrame(
        {
            "": FIGURES[name].title,
            "first": f"{numbers['first']:.3f}",
            "second": f"{numbers['second']:.3f}",
            "difference": f"{numbers['difference']:+.3f}",
            "95 % interval": "-"
            if numbers["interval"] is None
            else "{:+.3f} to {:+.3f}".format(*numbers["interval"]),
        }
        for name, numbers in row["figures"].items()
        if numbers
    )
    tests = (
        "p-values aren't given: several units of a patient aren't independent"
        if row["delong"] is None
        else f"AUROC by DeLong: p = {row['delong']:.3g}; accuracy by McNemar: p ="
        f" {row['mcnemar']:.3g}"
    )
    return f"{table.to_string(index=False)}\n{tests}"


def restarts_in_words(restarts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each training that collapsed."""
    sentences = []
    for one in restarts:
        fold = f", fold {one['fold']}" if one["fold"] else ""
        where = f"from seed {one['seed']}{fold} collapsed in epoch {one['epoch']}"
        sentences.append(f"The training {where}: {one['reason']}.")
    return sentences
