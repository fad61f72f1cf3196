"""What was measured of heatmaps, in sentences to read on a console or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mura_core.evaluation import LEAST_PATIENTS
from mura_core.heatmaps import MEASURES, Measure, in_brackets


def measures_to_read(
    summary: Mapping[str, Any], measures: Sequence[Measure] = MEASURES
) -> list[dict[str, Any]]:
    """Return a row for each measure of a method: its title, its numbers, how many images."""
    return [
        {"says": one.title, "better": one.better, "count": group["count"], **group[one.name]}
        for one in measures
        if (group := summary[one.group.name]) and group.get(one.name)
    ]


def method_in_words(
    name: str, summary: Mapping[str, Any], measures: Sequence[Measure] = MEASURES
) -> str:
    """Return one sentence: what a method's maps are worth, as far as it was measured.

    Nothing is said of a measure that too few patients were measured by for an interval.
    """
    clauses = [
        one.sentence(group)
        for one in measures
        if one.sentence and (group := summary[one.group.name]) and group.get(one.name)
    ]
    if not clauses:
        return f"{name}: explained for fewer than {LEAST_PATIENTS} patients, too few to measure it"
    return f"{name}: {'; '.join(clauses)}"


def distraction_in_words(rows: Sequence[Mapping[str, Any]], *, known: bool) -> str:
    """Return how much of the network's evidence is letters.

    Parameters
    ----------
    rows : sequence
        As of `distraction.distraction`.
    known : bool
        Whether the data says where letters are; else they were looked for.
    """
    whole = rows[0]
    source = "the data says where" if known else "found by the program, which misses some"
    if not whole["count"]:
        return f"No judged image has letters ({source})"
    images = f"in {whole['count']} images with letters ({source})"
    if whole["score"] is None:
        return f"The network doesn't tell images from nothing, {images}"
    if whole["interval"] is None or whole["difference_interval"] is None:
        return f"Too few images have letters to say what the network makes of them: {images}"
    low, _ = whole["difference_interval"]
    more = "more than" if low > 0 else "not significantly more than"
    return (
        f"Of the network's evidence {whole['score']:.1%} is letters"
        f"{in_brackets(whole['interval'], form='.1%')}"
        f" {images}, {more} other places of their shape ({whole['elsewhere']:.1%}); painting the"
        f" letters over flips {whole['flips']} verdict{'' if whole['flips'] == 1 else 's'}"
    )
