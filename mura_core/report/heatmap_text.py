"""Describe the scores of heatmaps in sentences for the console and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mura_core.evaluation import LEAST_PATIENTS
from mura_core.heatmaps import (
    MEASURES,
    Distraction,
    Groups,
    Measure,
    MeasureScore,
    in_brackets,
)


@dataclass(frozen=True)
class MeasureRow:
    """A row of the table of a method's scores.

    Attributes
    ----------
    title : str
        Label of the measure.
    better : str
        Which scores are better.
    count : int
        Number of images.
    score : MeasureScore
    """

    title: str
    better: str
    count: int
    score: MeasureScore


def measure_rows(groups: Groups, measures: Sequence[Measure] = MEASURES) -> list[MeasureRow]:
    """Return one row per measure of a method.

    Parameters
    ----------
    groups : mapping of GroupScores or None
        Scores of the method.
    measures : sequence of Measure
        The measures to show.

    Returns
    -------
    list of MeasureRow
        Measures without a score are left out.
    """
    return [
        MeasureRow(one.title, one.better, group.count, score)
        for one in measures
        if (group := groups.get(one.group.name)) and (score := group.measures.get(one.name))
    ]


def method_in_words(name: str, groups: Groups, measures: Sequence[Measure] = MEASURES) -> str:
    """Return a sentence that summarises the scores of a method.

    Measures that are defined for too few patients are left out.

    Parameters
    ----------
    name : str
        Name of the method.
    groups : mapping of GroupScores or None
        Scores of the method.
    measures : sequence of Measure
        The measures to describe.
    """
    clauses = [
        one.sentence(group)
        for one in measures
        if one.sentence and (group := groups.get(one.group.name)) and group.measures.get(one.name)
    ]
    if not clauses:
        return f"{name}: explained for fewer than {LEAST_PATIENTS} patients, too few to score it"
    return f"{name}: {'; '.join(clauses)}"


def distraction_in_words(distraction: Distraction) -> str:
    """Return a sentence that says how much of the network's evidence is letters.

    Parameters
    ----------
    distraction : Distraction
        Text reliance of the networks.
    """
    whole = distraction.figures[0]
    known = distraction.letters == "known"
    source = "positions from letters.csv" if known else "detected by the program, which misses some"
    if not whole.count:
        return f"No judged image has letters ({source})"
    images = f"in {whole.count} images with letters ({source})"
    if whole.score is None or whole.elsewhere is None:
        return f"The logits don't differ from that of the mean training image, {images}"
    if whole.interval is None or whole.difference_interval is None:
        return f"Too few patients to say whether the network uses letters, {images}"
    low, _ = whole.difference_interval
    more = "more than" if low > 0 else "not significantly more than"
    return (
        f"Letters are {whole.score:.1%} of the network's evidence"
        f"{in_brackets(whole.interval, form='.1%')}"
        f" {images}, {more} other places of the same shape ({whole.elsewhere:.1%});"
        f" inpainting letters flips {whole.flips} verdict{'' if whole.flips == 1 else 's'}"
    )
