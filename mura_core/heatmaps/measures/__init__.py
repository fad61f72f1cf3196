"""How heatmaps are scored.

A `Measure` scores one map of one image; to add one, write it in a module of its own and name it in
`MEASURES` below: the bench, `heatmaps.csv`, `metrics.json` and the report take it from there.
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
    """Return what one map gets by the measures of a group.

    Parameters
    ----------
    case : Case
    group : Group
    offered : frozenset of str
        What the case has of what measures may need.
    measures : sequence of Measure
    """
    return {
        measure.name: measure.score(case)
        for measure in measures
        if measure.group is group and (measure.needs is None or measure.needs in offered)
    }
