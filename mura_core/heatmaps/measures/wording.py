"""Phrases that the sentences of several measures share."""

from __future__ import annotations

from collections.abc import Sequence

from mura_core.heatmaps.results import MeasureScore

# The image-independent baselines, as named in sentences.
BASELINE_NAMES = {
    "random": "a random map",
    "centre": "the centre",
    "average_box": "the average box",
}


def not_beaten(measure: MeasureScore, better: int) -> list[str]:
    """Return the names of the baselines that a method isn't significantly better than.

    Parameters
    ----------
    measure : MeasureScore
        Score by one measure.
    better : {1, -1}
        1 if higher scores are better, -1 if lower ones are.
    """
    return [
        name
        for name, other in measure.baselines.items()
        if other.interval is None or min(better * end for end in other.interval) <= 0
    ]


def comparison(measure: MeasureScore, better: int) -> str:
    """Return a clause that says whether a method is better than the baselines.

    Parameters
    ----------
    measure : MeasureScore
        Score by one measure.
    better : {1, -1}
        1 if higher scores are better, -1 if lower ones are.
    """
    if any(other.interval is None for other in measure.baselines.values()):
        return "too few images to compare it with the baselines"
    unbeaten = not_beaten(measure, better)
    if not unbeaten:
        return "better than the image-independent baselines"
    *others, last = (BASELINE_NAMES[name] for name in unbeaten)
    return f"not significantly better than {', '.join(others)}{' or ' if others else ''}{last}"


def baselines_in_words(measure: MeasureScore, form: str) -> str:
    """Return the means of the baselines, such as `random 12%, centre 30%`.

    Parameters
    ----------
    measure : MeasureScore
        Score by one measure.
    form : str
        Format specification of the means, such as `.0%`.
    """
    return ", ".join(
        f"{name.replace('_', ' ')} {format(other.mean, form)}"
        for name, other in measure.baselines.items()
    )


def in_brackets(bounds: Sequence[float] | None, more: str = "", form: str = ".0%") -> str:
    """Return an interval in brackets, such as ` (20% to 30%; random 12%)`, or an empty string.

    Parameters
    ----------
    bounds : sequence of two floats, optional
        The interval.
    more : str
        Further text inside the brackets.
    form : str
        Format specification of the bounds.
    """
    parts = [" to ".join(format(bound, form) for bound in bounds)] if bounds else []
    parts += [more] if more else []
    return f" ({'; '.join(parts)})" if parts else ""
