"""Parts of sentences about measures, which several of them use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The maps that don't look at the image.
BASELINE_NAMES = {
    "random": "a random map",
    "centre": "the centre",
    "average_box": "the average box",
}


def not_beaten(measure: Mapping[str, Any], better: int) -> list[str]:
    """Return the baselines that a method isn't significantly better than.

    Parameters
    ----------
    measure : mapping
        One measure of `baselines.summarise`.
    better : {1, -1}
        Whether more is better, or less.
    """
    return [
        name
        for name, other in measure["beside"].items()
        if other["interval"] is None or min(better * end for end in other["interval"]) <= 0
    ]


def comparison(measure: Mapping[str, Any], better: int) -> str:
    """Return whether a method is better than the baselines; parameters as of `not_beaten`."""
    if any(other["interval"] is None for other in measure["beside"].values()):
        return "too few images to compare it"
    unbeaten = not_beaten(measure, better)
    if not unbeaten:
        return "better than maps that don't look at the image"
    *others, last = (BASELINE_NAMES[name] for name in unbeaten)
    return f"not significantly better than {', '.join(others)}{' or ' if others else ''}{last}"


def baselines_in_words(measure: Mapping[str, Any], form: str) -> str:
    """Return such as `random 12%, centre 30%`.

    Parameters
    ----------
    measure : mapping
        One measure of `baselines.summarise`.
    form : str
        A format specification, such as `.0%`.
    """
    return ", ".join(
        f"{name.replace('_', ' ')} {format(other['mean'], form)}"
        for name, other in measure["beside"].items()
    )


def in_brackets(bounds: Sequence[float] | None, more: str = "", form: str = ".0%") -> str:
    """Return such as ` (20% to 30%; random 12%)`, or nothing.

    Parameters
    ----------
    bounds : sequence of two floats, optional
        An interval.
    more : str
        What else stands in the brackets.
    form : str
        Of the bounds.
    """
    parts = [" to ".join(format(bound, form) for bound in bounds)] if bounds else []
    parts += [more] if more else []
    return f" ({'; '.join(parts)})" if parts else ""
