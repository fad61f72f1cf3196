"""Describe the scores of heatmaps in sentences for the console and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mura_core.evaluation import LEAST_PATIENTS
from mura_core.heatmaps import MEASURES, Measure, in_brackets


def measures_to_read(
    summary: Mapping[str, Any], measures: Sequence[Measure] = MEASURES
) -> list[dict[str, Any]]:
    """Return one row per measure of a method.

    Parameters
    ----------
    summary : mapping
        Summary of the method, as returned by `Bench.score`.
    measures : sequence of Measure
        The measures to show.

    Returns
    -------
    list of dict
        `says` (the measure's title), `better`, `count` (number of images) and the measure's
        `mean`, `interval` and `beside`. Measures without a summary are left out.
    """
    return [
        {"says": one.title, "better": one.better, "count": group["count"], **group[one.name]}
        for one in measures
        if (group := summary[one.group.name]) and group.get(one.name)
    ]


def method_in_words(
    name: str, summary: Mapping[str, Any], measures: Sequence[Measure] = MEASURES
) -> str:
    """Return a sentence that summarises the scores of a method.

    Measures that are defined for too few patients are left out.

    Parameters
    ----------
    name : str
        Name of the method.
    summary : mapping
        Summary of the method, as returned by `Bench.score`.
    measures : sequence of Measure
        The measures to describe.
    """
    clauses = [
        one.sentence(group)
        for one in measures
        if one.sentence and (group := summary[one.group.name]) and group.get(one.name)
    ]
    if not clauses:
        return f"{name}: explained for fewer than {LEAST_PATIENTS} patients, too few to score it"
    return f"{name}: {'; '.join(clauses)}"


def distraction_in_words(rows: Sequence[Mapping[str, Any]], *, known: bool) -> str:
    """Return a sentence that says how much of the network's evidence is letters.

    Parameters
    ----------
    rows : sequence of mapping
        As returned by `distraction`.
    known : bool
        True if the letters are from `letters.csv`, False if they were detected.
    """
    whole = rows[0]
    source = "positions from letters.csv" if known else "detected by the program, which misses some"
    if not whole["count"]:
        return f"No judged image has letters ({source})"
    images = f"in {whole['count']} images with letters ({source})"
    if whole["score"] is None:
        return f"The logits don't differ from that of the mean training image, {images}"
    if whole["interval"] is None or whole["difference_interval"] is None:
        return f"Too few patients to say whether the network uses letters, {images}"
    low, _ = whole["difference_interval"]
    more = "more than" if low > 0 else "not significantly more than"
    return (
        f"Letters are {whole['score']:.1%} of the network's evidence"
        f"{in_brackets(whole['interval'], form='.1%')}"
        f" {images}, {more} other places of the same shape ({whole['elsewhere']:.1%});"
        f" inpainting letters flips {whole['flips']} verdict{'' if whole['flips'] == 1 else 's'}"
    )
