"""Compare the figures of two runs on the same images, with intervals and significance tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.errors import DataError
from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.judgement import Judgement
from mura_core.evaluation.metrics import FIGURES
from mura_core.evaluation.results import Comparison, Difference
from mura_core.evaluation.sample import Sample, sample_of
from mura_core.evaluation.significance import delong, mcnemar
from mura_core.evaluation.units import at_level, selections

_SAME = ["body_part", "patient", "study", "label"]


def compare_judgements(
    first: Judgement, second: Judgement, *, seed: int, draws: int = DRAWS
) -> list[Comparison]:
    """Return the differences of two runs' figures, second minus first.

    Parameters
    ----------
    first, second : Judgement
        Judged predictions for the same images.
    seed : int
        Random seed of the bootstrap over patients, whose draws both runs share.
    draws : int
        Number of bootstrap draws.

    Returns
    -------
    list of Comparison
        One for each level and body part.

    Raises
    ------
    DataError
        If the runs judged different images or used different labels, patients or studies.
    """
    _refuse_other_images(first.predictions, second.predictions)
    collapsed = constant_output(first.predictions) or constant_output(second.predictions)
    rows = []
    for level in LEVELS:
        both = [at_level(one.predictions, level, one.study_score) for one in (first, second)]
        for (part, one), (_, other) in zip(*(selections(units) for units in both), strict=True):
            sample = sample_of(one, level, first.points)
            other_sample = sample_of(other, level, second.points)
            counts = Comparison(
                level,
                part,
                count=len(one),
                abnormal=int(sample.labels.sum()),
                patients=sample.patient_count,
                figures={},
                delong=None,
                mcnemar=None,
                not_given=collapsed or sample.no_ground(),
            )
            if counts.not_given is None:
                counts = _compared(counts, sample, other_sample, seed, draws)
            rows.append(counts)
    return rows


def _compared(
    counts: Comparison, first: Sample, second: Sample, seed: int, draws: int
) -> Comparison:
    numbers = [{name: row[0] for name, row in s.figures().items()} for s in (first, second)]
    drawn = bootstrap([first, second], seed=seed, draws=draws)
    figures: dict[str, Difference | None] = {}
    for name in FIGURES:
        one, other = (float(figure[name]) for figure in numbers)
        bounds = interval(drawn[1][name] - drawn[0][name])
        if bounds is None or not np.isfinite([one, other]).all():
            figures[name] = None
            continue
        # If all draws are equal, they can't estimate the uncertainty of the difference.
        given = bounds if FIGURES[name].has_interval and bounds[0] < bounds[1] else None
        figures[name] = Difference(one, other, other - one, given)
    counts = replace(counts, figures=figures)
    if first.patient_count < len(first.labels):
        return counts  # the units of a patient aren't independent; p-values would be too small
    both = first.decided & second.decided
    return replace(
        counts,
        delong=delong(first.labels, first.probabilities, second.probabilities).p,
        mcnemar=mcnemar(*(own.positive[both] == own.labels[both] for own in (first, second))),
    )


def _refuse_other_images(first: pd.DataFrame, second: pd.DataFrame) -> None:
    one, other = (table.set_index("path")[_SAME].sort_index() for table in (first, second))
    alone = [one.index.difference(other.index), other.index.difference(one.index)]
    if any(map(len, alone)):
        example = (alone[0] if len(alone[0]) else alone[1])[0]
        raise DataError(
            f"the runs judged different images: {len(alone[0])} only in the first, {len(alone[1])}"
            f" only in the second, such as {example}"
        )
    differs = (one != other).any(axis=1)
    if differs.any():
        path = one.index[differs][0]
        raise DataError(
            f"the runs have different labels, patients or studies for {int(differs.sum())} images,"
            f" such as {path}"
        )
