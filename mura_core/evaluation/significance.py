"""Paired significance tests that compare two networks on the same units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_core.evaluation.units import Floats


@dataclass(frozen=True)
class DeLong:
    """Result of DeLong's test of two areas under ROC curves.

    Attributes
    ----------
    first, second : float
        The areas under the curves.
    standard_error : float
        Standard error of the difference.
    z : float
        The difference, second minus first, divided by its standard error.
    p : float
        Two-sided p-value.
    """

    first: float
    second: float
    standard_error: float
    z: float
    p: float


def delong(labels: NDArray[np.bool_], first: Floats, second: Floats) -> DeLong:
    """Compare two areas under ROC curves (DeLong, DeLong and Clarke-Pearson 1988).

    Computed from midranks (Sun and Xu 2014). The units must be independent.

    Parameters
    ----------
    labels : ndarray of shape (n,), bool
        True for abnormal. Each label must occur at least twice.
    first, second : ndarray of shape (n,), float64
        The two networks' scores of the same units.

    Returns
    -------
    DeLong
    """
    from scipy.stats import norm, rankdata

    scores = np.stack([first, second])
    abnormal, normal = scores[:, labels], scores[:, ~labels]
    ranks = rankdata(scores, axis=1)
    # Share of the normal units that each abnormal unit outranks, and share of the abnormal units
    # that outrank each normal unit, (2, n).
    outranks = (ranks[:, labels] - rankdata(abnormal, axis=1)) / normal.shape[1]
    outranked = 1 - (ranks[:, ~labels] - rankdata(normal, axis=1)) / abnormal.shape[1]
    areas = outranks.mean(axis=1)
    covariance = np.cov(outranks) / abnormal.shape[1] + np.cov(outranked) / normal.shape[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    difference = float(areas[1] - areas[0])
    # Identical curves have no variance and no difference.
    z = difference / error if error > 0 else 0.0
    return DeLong(float(areas[0]), float(areas[1]), error, z, float(2 * norm.sf(abs(z))))


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test that two networks are equally accurate.

    It is a binomial test on the units that exactly one network got right (McNemar 1947; exact,
    Cochran 1950). The units must be independent.

    Parameters
    ----------
    first_right, second_right : ndarray of shape (n,), bool
        Whether each network called each unit correctly.

    Returns
    -------
    float
    """
    from scipy.stats import binomtest

    first_alone = int(np.sum(first_right & ~second_right))
    second_alone = int(np.sum(second_right & ~first_right))
    if first_alone + second_alone == 0:
        return 1.0
    return float(binomtest(first_alone, first_alone + second_alone).pvalue)
