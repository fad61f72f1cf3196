"""Levels as the pages name them, and which of them are the same in a run."""

from __future__ import annotations

from mura_core.evaluation import of_level
from mura_core.runs import Metrics

LEVEL_NAMES = {
    "image": "image",
    "study": "study",
    "patient_within_part": "patient within a body part",
    "patient": "patient",
}


def same_levels(metrics: Metrics) -> dict[str, str]:
    """Return for each level of a run the first level with the same units and operating points.

    Each level groups the units of the one before, so that equal counts mean equal units.

    Parameters
    ----------
    metrics : Metrics
        The figures of the run.

    Returns
    -------
    dict of str to str
        The level itself if no earlier one is the same.
    """
    first: dict[object, str] = {}
    same = {}
    for level in LEVEL_NAMES:
        if rows := of_level(metrics.figures, level):
            points = [
                (one.normal_below, one.threshold)
                for one in metrics.operating_points
                if one.level == level
            ]
            same[level] = first.setdefault((rows[0].counts.count, *points), level)
    return same
