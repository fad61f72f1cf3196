"""Measures that score heatmaps.

A `Measure` scores one map of one image. To add one, write it in a new module and list it in
`MEASURES`; the bench, `heatmaps.csv`, `metrics.json` and the report then include it.
"""

from collections.abc import Sequence

from mura_core.heatmaps.measures import faithfulness, localisation, sanity_checks
from mura_core.heatmaps.measures.measure import Case, Group, Measure

MEASURES: tuple[Measure, ...] = (
    *localisation.MEASURES,
    *faithfulness.MEASURES,
    *sanity_checks.MEASURES,
    *localisation.LETTERS_MEASURES,
)


def scores(
    case: Case,
    group: Group,
    offered: frozenset[str] = frozenset(),
    measures: Sequence[Measure] = MEASURES,
) -> dict[str, float]:
    """Return the scores of one map by the measures of a group.

    Parameters
    ----------
    case : Case
        The map and its image.
    group : Group
        Only measures of this group are computed.
    offered : frozenset of str
        Optional inputs that are available (`Measure.needs`). Measures that need another one are
        skipped.
    measures : sequence of Measure
        The measures to choose from.

    Returns
    -------
    dict of float
        The score of each measure, by name.
    """
    return {
        measure.name: measure.score(case)
        for measure in measures
        if measure.group is group and (measure.needs is None or measure.needs in offered)
    }
