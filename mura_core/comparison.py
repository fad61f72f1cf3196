"""Two runs that judged the same images: how far apart their figures are, and whether by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.bootstrap import DRAWS, bootstrap, interval
from mura_core.collapse import one_answer
from mura_core.errors import DataError
from mura_core.metrics import FIGURES, LEVELS, Floats, Sample, at_level, sample_of, selections
from mura_core.operating_point import Judgement

_SAME = ["body_part", "patient", "study", "label"]


def compare(
    first: Judgement, second: Judgement, *, seed: int, draws: int = DRAWS
) -> list[dict[str, Any]]:
    """Return the differences of two runs' figures, second minus first, in the same draws.

    Parameters
    ----------
    first, second : Judgement
        Of the same images.
    seed : int
        Of the bootstrap over patients.
    draws : int

    Returns
    -------
    list of dict
        One for each level and body part: `level`, `body_part`, `count`, `abnormal`, `patients`;
        `figures`, a dict from each name to `first`, `second`, `difference` and `interval`; the
        p-values `delong` and `mcnemar`, null where a patient has several units, which aren't
        independent; `not_given`.

    Raises
    ------
    DataError
        The runs judged other images, or by other labels.
    """
    _refuse_other_images(first.predictions, second.predictions)
    refused = one_answer(first.predictions) or one_answer(second.predictions)
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


@dataclass(frozen=True)
class DeLong:
    """Two areas under ROC curves of the same units, and the test of their difference."""

    first: float
    second: float
    standard_error: float  # of the difference
    z: float
    p: float


def delong(labels: NDArray[np.bool_], first: Floats, second: Floats) -> DeLong:
    """Compare two areas under ROC curves (DeLong, DeLong and Clarke-Pearson 1988).

    By the midranks of Sun and Xu 2014. The units must be independent of one another.

    Parameters
    ----------
    labels : ndarray of shape (n,), bool
        Two or more of each.
    first, second : ndarray of shape (n,)
        Scores of the same units.
    """
    from scipy.stats import norm, rankdata

    scores = np.stack([first, second])
    abnormal, normal = scores[:, labels], scores[:, ~labels]
    ranks = rankdata(scores, axis=1)
    # The share of normal units that an abnormal one outranks, and the other way round: (2, n).
    outranks = (ranks[:, labels] - rankdata(abnormal, axis=1)) / normal.shape[1]
    outranked = 1 - (ranks[:, ~labels] - rankdata(normal, axis=1)) / abnormal.shape[1]
    areas = outranks.mean(axis=1)
    covariance = np.cov(outranks) / abnormal.shape[1] + np.cov(outranked) / normal.shape[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    difference = float(areas[1] - areas[0])
    # Two curves that are one have no variance, and no difference either.
    z = difference / error if error > 0 else 0.0
    return DeLong(float(areas[0]), float(areas[1]), error, z, float(2 * norm.sf(abs(z))))


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test: that both are right equally often.

    The binomial test of the units that one alone got right (McNemar 1947; exact, Cochran 1950).
    The units must be independent of one another.

    Parameters
    ----------
    first_right, second_right : ndarray of shape (n,), bool
    """
    from scipy.stats import binomtest

    first_alone = int(np.sum(first_right & ~second_right))
    second_alone = int(np.sum(second_right & ~first_right))
    if first_alone + second_alone == 0:
        return 1.0
    return float(binomtest(first_alone, first_alone + second_alone).pvalue)


def _difference(
    first: Sample, second: Sample, seed: int, draws: int, refused: str | None = None
) -> dict[str, Any]:
    nothing = {"figures": None, "delong": None, "mcnemar": None}
    if not_given := refused or first.no_ground():
        return nothing | {"not_given": not_given}
    numbers = [{name: row[0] for name, row in s.figures().items()} for s in (first, second)]
    drawn = bootstrap([first, second], seed=seed, draws=draws)
    figures = {}
    for row, name in enumerate(FIGURES):
        one, other = (float(figure[name]) for figure in numbers)
        bounds = interval(drawn[1][row] - drawn[0][row])
        figures[name] = (
            {
                "first": one,
                "second": other,
                "difference": other - one,
                # Draws that are all alike don't say how far off the difference may be.
                "interval": bounds if bounds and bounds[0] < bounds[1] else None,
            }
            if bounds and np.isfinite([one, other]).all()
            else None
        )
    # Each unit another patient's: else the units aren't independent, and p-values are too small.
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
            f"the runs judged other images: {len(alone[0])} in the first alone, {len(alone[1])} in"
            f" the second alone, such as {example}"
        )
    differs = (one != other).any(axis=1)
    if differs.any():
        path = one.index[differs][0]
        raise DataError(
            f"the runs know {int(differs.sum())} images by other labels, patients or studies, such"
            f" as {path}"
        )
