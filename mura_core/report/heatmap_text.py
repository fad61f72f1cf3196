"""What was measured of heatmaps, in sentences to read on a console or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mura_core.evaluation import LEAST_PATIENTS
from mura_core.heatmaps import not_beaten

# How alike maps may be, by rank, to those of an untrained network.
_STILL_ALIKE = 0.5
_LEAST_FOR_PERCENTAGES = 20  # images; of fewer, their number is given

# The maps that don't look at the image.
BESIDE = {"random": "a random map", "centre": "the centre", "average_box": "the average box"}

# The page's table: each measure, what it says, and what is better.
_MEASURES = {
    ("finding", "pointing"): ("Images whose hottest place lies in the finding", "more"),
    ("finding", "heat_share"): ("Share of the heat in the finding", "more"),
    ("finding", "iou"): ("IoU of the finding and the hottest pixels", "more"),
    ("finding", "average_precision"): ("Average precision of the finding's pixels", "more"),
    ("letters", "heat_share"): ("Share of the heat on burnt-in letters", "less"),
    ("use", "deletion"): ("Deletion: mean logit while the hottest is hidden first", "less"),
    ("use", "insertion"): ("Insertion: mean logit while the hottest is shown first", "more"),
    ("use", "road"): ("ROAD: logit without the coldest less that without the hottest", "more"),
    ("use", "infidelity"): ("Infidelity: how badly heat foretells the logit's falls", "less"),
    ("learning", "randomised"): ("Rank correlation to maps of an untrained network", "near 0"),
    ("learning", "shuffled_labels"): (
        "Rank correlation to maps of one trained on shuffled labels",
        "near 0",
    ),
    ("learning", "max_sensitivity"): ("Change of a map when its image hardly changes", "less"),
}


def measures_to_read(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was measured of a method, a row each, with what it says and how many images."""
    return [
        {"says": says, "better": better, "count": summary[group]["count"], **summary[group][name]}
        for (group, name), (says, better) in _MEASURES.items()
        if summary[group] and summary[group].get(name)
    ]


def method_in_words(name: str, summary: Mapping[str, Any]) -> str:
    """Return one sentence: what a method's maps are worth, as far as it was measured.

    Nothing is said of a measure that too few patients were measured by for an interval.
    """
    clauses = [
        in_words(summary[group])
        for group, measure, in_words in (
            ("finding", "pointing", _finding_in_words),
            ("use", "deletion", _use_in_words),
            ("learning", "randomised", _learning_in_words),
            ("letters", "heat_share", _letters_in_words),
        )
        if summary[group] and summary[group].get(measure)
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
        f"{_range(whole['interval'], form='.1%')}"
        f" {images}, {more} other places of their shape ({whole['elsewhere']:.1%}); painting the"
        f" letters over flips {whole['flips']} verdict{'' if whole['flips'] == 1 else 's'}"
    )


def _finding_in_words(finding: Mapping[str, Any]) -> str:
    pointing, count = finding["pointing"], finding["count"]
    if count >= _LEAST_FOR_PERCENTAGES:
        share = f"{pointing['mean']:.0%} of {count} images"
        return (
            f"it marks the finding in {share}"
            f"{_range(pointing['interval'], _beside(pointing, '.0%'))}, {_verdict(pointing, 1)}"
        )
    return (
        f"it marks the finding in {pointing['mean'] * count:.0f} of {count} images,"
        f" {_verdict(pointing, 1)}"
    )


def _use_in_words(use: Mapping[str, Any]) -> str:
    deletion = use["deletion"]
    return (
        f"with what it marks hidden first the logit is {deletion['mean']:.2f} on average"
        f" ({_beside(deletion, '.2f')}), {_verdict(deletion, -1)}"
    )


def _learning_in_words(learning: Mapping[str, Any]) -> str:
    randomised = learning["randomised"]
    _, high = randomised["interval"] or (0.0, 1.0)
    verb = "depend on what was learned" if high < _STILL_ALIKE else "may show the image alone"
    alike = f"to those of an untrained network {randomised['mean']:.2f}"
    if learning.get("shuffled_labels"):
        alike += f", of one trained on shuffled labels {learning['shuffled_labels']['mean']:.2f}"
    return f"its maps {verb} (rank correlation {alike})"


def _letters_in_words(letters: Mapping[str, Any]) -> str:
    share = letters["heat_share"]
    chance = share["beside"]["random"]
    more = chance["interval"] is not None and chance["interval"][0] > 0
    return (
        f"{share['mean']:.1%} of its heat is on letters"
        f"{_range(share['interval'], format(chance['mean'], '.1%') + ' by chance', '.1%')}"
        + (", more than by chance" if more else "")
    )


def _verdict(measure: Mapping[str, Any], better: int) -> str:
    """Return which of the image-independent maps it isn't significantly better than."""
    if any(other["interval"] is None for other in measure["beside"].values()):
        return "too few images to compare it"
    unbeaten = not_beaten(measure, better)
    if not unbeaten:
        return "better than maps that don't look at the image"
    *others, last = (BESIDE[name] for name in unbeaten)
    return f"not significantly better than {', '.join(others)}{' or ' if others else ''}{last}"


def _beside(measure: Mapping[str, Any], form: str) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {format(other['mean'], form)}"
        for name, other in measure["beside"].items()
    )


def _range(bounds: Sequence[float] | None, beside: str = "", form: str = ".0%") -> str:
    parts = [" to ".join(format(bound, form) for bound in bounds)] if bounds else []
    parts += [beside] if beside else []
    return f" ({'; '.join(parts)})" if parts else ""
