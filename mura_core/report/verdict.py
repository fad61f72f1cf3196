"""Answer at the top of a report: what was trained, how good it is, and where it is worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mura_core.data import ALL
from mura_core.evaluation import BASELINES, BEATEN_BY, FIGURES, Baseline, Bounds, Figures, of_level
from mura_core.report.figures_text import with_interval
from mura_core.report.paths import shown_path
from mura_core.runs import Metrics, RunConfig

_LEVEL = "study"  # what radiologists label, and MURA is judged by
_PICTURED = ("auroc", "accuracy")
_JUDGED_ON = {
    "split": "judged on {images} validation images of {patients} patients",
    "holdout": "judged on {images} held-out training images of {patients} patients",
}


@dataclass(frozen=True)
class Dot:
    """A figure of the network or a baseline in the picture.

    Attributes
    ----------
    name : str
        Whose figure it is.
    value : float
    interval : tuple of two floats, or None
        None for a baseline, and if the figure has none.
    is_network : bool
    """

    name: str
    value: float
    interval: Bounds | None
    is_network: bool


@dataclass(frozen=True)
class Verdict:
    """The first lines of a report.

    Attributes
    ----------
    trained : str
        What was trained and judged on what.
    figures : str
        The figures in the picture, with intervals, or why there are none.
    compared : str
        Whether the network beats the baselines; empty without figures.
    worst : str
        The body part with the lowest AUROC; empty if fewer than two have figures.
    picture : dict of list of Dot
        By the title of a figure; empty without figures.
    """

    trained: str
    figures: str
    compared: str
    worst: str
    picture: dict[str, list[Dot]]


def verdict_of(metrics: Metrics, config: RunConfig, splits: pd.DataFrame) -> Verdict:
    """Return the first lines of a report.

    Parameters
    ----------
    metrics : Metrics
        The figures of the run.
    config : RunConfig
        Its settings.
    splits : DataFrame
        Contents of `splits.csv`, empty if there is none.
    """
    rows = of_level(metrics.figures, _LEVEL)
    whole = rows[0]
    trained = _trained_in_words(metrics, config, splits)
    if whole.not_given:
        return Verdict(trained, f"There are no figures: {whole.not_given}.", "", "", {})
    numbers = " and ".join(
        f"{FIGURES[name].title} {with_interval(whole.estimates[name], whole.intervals[name])}"
        for name in _PICTURED
    )
    units = f"{whole.counts.count} studies of {whole.counts.patients} patients"
    return Verdict(
        trained,
        f"By study: {numbers}, with 95\u00a0% intervals, on {units}.",
        compared_in_words(whole),
        worst_in_words(rows[1:]),
        _picture(whole),
    )


def compared_in_words(row: Figures) -> str:
    """Return a sentence that says which baselines the network beats, and by which figures.

    Parameters
    ----------
    row : Figures
        Figures of a level over all body parts.
    """
    named: dict[tuple[str, str], list[str]] = {}  # the baselines with the same outcome
    for name, baseline in row.baselines.items():
        if baseline and (outcome := _outcome(baseline)):
            named.setdefault(outcome, []).append(f"'{BASELINES[name]}'")
    if not named:
        return ""
    clauses = [
        f"{verb} {(' and ' if verb == 'beats' else ' or ').join(names)}{by}"
        for (verb, by), names in named.items()
    ]
    sentence = f"The network {', and '.join(clauses)}"
    if any(verb == "beats" for verb, _ in named):
        return f"{sentence}."
    return f"{sentence}: it has learned nothing useful, or these are too few patients to show it."


def worst_in_words(rows: Sequence[Figures]) -> str:
    """Return a sentence that names the body part with the lowest AUROC.

    Parameters
    ----------
    rows : sequence of Figures
        Figures by study of each body part.

    Returns
    -------
    str
        Empty if fewer than two body parts have figures.
    """
    given = {
        row.body_part: (auroc, row)
        for row in rows
        if row.body_part != ALL and (auroc := row.estimates["auroc"]) is not None
    }
    if len(given) < 2:
        return ""
    auroc, worst = min(given.values(), key=lambda one: one[0])
    counts = worst.counts
    number = with_interval(auroc, worst.intervals["auroc"])
    sentence = (
        f"Worst body part: {worst.body_part}, AUROC {number}"
        f" on {counts.count} studies of {counts.patients} patients, {counts.abnormal} abnormal"
    )
    if small := len(rows) - len(given):
        have = "has" if small == 1 else "have"
        sentence += f"; {small} of {len(rows)} body parts {have} too few patients for figures"
    return f"{sentence}."


def _outcome(baseline: Baseline) -> tuple[str, str] | None:
    """Return whether a baseline is beaten and by which figures; None if none are defined."""
    beats: dict[bool, list[str]] = {True: [], False: []}
    for name in BEATEN_BY:
        lead = baseline.beaten_by[name]
        if lead.difference is not None:
            beats[lead.beats].append(FIGURES[name].title)
    if not beats[True]:
        return ("does not beat", "") if beats[False] else None
    but = f" but not by {' and '.join(beats[False])}" if beats[False] else ""
    return "beats", f" by {' and '.join(beats[True])}{but}"


def _trained_in_words(metrics: Metrics, config: RunConfig, splits: pd.DataFrame) -> str:
    counts = of_level(metrics.figures, "image")[0].counts
    judged = {"images": counts.count, "patients": counts.patients}
    seeds = len(config.network_seeds)
    network = config.model if seeds == 1 else f"The average of {seeds} networks {config.model}"
    data = shown_path(config.data)
    if metrics.validate == "kfold":
        folds = "{images} images of {patients} patients".format(**judged)
        return f"{network}, trained and judged on {data} in {config.folds} folds: {folds}."
    train = splits[splits["split"] == "train"] if len(splits) else splits
    sizes = f", {len(train)} images of {train['patient'].nunique()} patients" if len(train) else ""
    return f"{network}, trained on {data}{sizes}; {_JUDGED_ON[metrics.validate].format(**judged)}."


def _picture(row: Figures) -> dict[str, list[Dot]]:
    picture = {}
    for name in _PICTURED:
        value = row.estimates[name]
        if value is None:
            continue
        dots = [Dot("network", value, row.intervals[name], is_network=True)]
        for baseline, title in BASELINES.items():
            theirs = row.baselines[baseline]
            number = theirs.estimates[name] if theirs else None
            if number is not None:
                dots.append(Dot(title, number, None, is_network=False))
        picture[FIGURES[name].title] = dots
    return picture
