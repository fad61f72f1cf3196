"""Compare the figures of two runs on the same images, with intervals and significance tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mura_core.data import LEVELS
from mura_core.errors import DataError
from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.judgement import Judgement
from mura_core.evaluation.metrics import FIGURES
from mura_core.evaluation.sample import Sample, sample_of
from mura_core.evaluation.significance import delong, mcnemar
from mura_core.evaluation.units import at_level, selections

_SAME = ["body_part", "patient", "study", "label"]


def compare_judgements(
    first: Judgement, second: Judgement, *, seed: int, draws: int = DRAWS
) -> list[dict[str, Any]]:
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
    list of dict
        One for each level and body part: `level`, `body_part`, `count`, `abnormal`, `patients`;
        `figures`, a dict from each name to `first`, `second`, `difference` and `interval`; the
        p-values `delong` and `mcnemar`, None if a patient has several units, since these aren't
        independent; and `not_given`, why there are no figures, or None.

    Raises
    ------
    DataError
        If the runs judged different images or used different labels, patients or studies.
    """
    _refuse_other_images(first.predictions, second.predictions)
    refused = constant_output(first.predictions) or constant_output(second.predictions)
    rows = []
    for level in LEVELS:
        both = [at_level(one.predictions, level, one.study_score) for one in (first, second)]
        for (part, one), (_, other) in zip(*(selections(units) for units in both), strict=True):
            sample = sample_of(one, level, first.points)
            other_sample = sample_of(other, level, second.points)
            rows.append(
                {
                    "level": level,
                    "body_part": part,
                    "count": len(one),
                    "abnormal": int(sample.labels.sum()),
                    "patients": sample.patient_count,
                }
                | _difference(sample, other_sample, seed, draws, refused)
            )
    return rows


def _difference(
    first: Sample, second: Sample, seed: int, draws: int, refused: str | None = None
) -> dict[str, Any]:
    nothing = {"figures": None, "delong": None, "mcnemar": None}
    if not_given := refused or first.no_ground():
        return nothing | {"not_given": not_given}
    numbers = [{name: row[0] for name, row in s.figures().items()} for s in (first, second)]
    drawn = bootstrap([first, second], seed=seed, draws=draws)
    figures = {}
    for name in FIGURES:
        one, other = (float(figure[name]) for figure in numbers)
        bounds = interval(drawn[1][name] - drawn[0][name])
        figures[name] = (
            {
                "first": one,
                "second": other,
                "difference": other - one,
                # If all draws are equal, they can't estimate the uncertainty of the difference.
                "interval": bounds if bounds and bounds[0] < bounds[1] else None,
            }
            if bounds and np.isfinite([one, other]).all()
            else None
        )
    # With several units per patient, units aren't independent and p-values would be too small.
    independent = first.patient_count == len(first.labels)
    both = first.decided & second.decided
    return {
        "figures": figures,
        "delong": delong(first.labels, first.probabilities, second.probabilities).p
        if independent
        else None,
        "mcnemar": mcnemar(*(own.positive[both] == own.labels[both] for own in (first, second)))
        if independent
        else None,
        "not_given": None,
    }


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
