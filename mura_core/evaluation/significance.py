"""Paired significance tests of two networks on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_core.evaluation.units import Floats


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
