"""Levels as the pages name them, and which of them are the same in a run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from mura_core.evaluation import of_level
from mura_core.runs import LevelPoint, Metrics

LEVEL_NAMES = {
    "image": "image",
    "study": "study",
    "patient_within_part": "patient within a body part",
    "patient": "patient",
}


def same_levels(metrics: Metrics) -> dict[str, str]:
    """Return for each level of a run the first level with the same units and operating points.

    Parameters
    ----------
    metrics : Metrics
        The figures of the run.

    Returns
    -------
    dict of str to str
        The level itself if no earlier one is the same.
    """
    return first_alike(
        (level, (rows[0].counts.count, limits_at(metrics.operating_points, level)))
        for level in LEVEL_NAMES
        if (rows := of_level(metrics.figures, level))
    )


def first_alike(judged: Iterable[tuple[str, Hashable]]) -> dict[str, str]:
    """Return for each level the first level that was judged alike.

    Each level groups the units of the one before, so that equal counts mean equal units.

    Parameters
    ----------
    judged : iterable of (str, hashable)
        Levels in their order, each with its number of units and its operating points.

    Returns
    -------
    dict of str to str
    """
    first: dict[Hashable, str] = {}
    return {level: first.setdefault(how, level) for level, how in judged}


def limits_at(points: Sequence[LevelPoint], level: str) -> tuple[tuple[float | None, float], ...]:
    """Return the thresholds of each fold at a level.

    Parameters
    ----------
    points : sequence of LevelPoint
        Operating points of all levels.
    level : str
        One of `LEVELS`.
    """
    return tuple((one.normal_below, one.threshold) for one in points if one.level == level)
