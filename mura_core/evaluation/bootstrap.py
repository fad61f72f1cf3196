"""Bootstrap intervals over patients.

Images of the same patient are correlated, so the bootstrap draws patients, not images (Efron 1979;
for clusters, Field and Welsh 2007). A draw takes as many patients as there are, with replacement,
and includes all units of each. A patient that is drawn twice counts twice, so a draw is a vector of
weights, and many draws are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from mura_core.cores import usable_cores
from mura_core.evaluation.metrics import FIGURES
from mura_core.evaluation.sample import Sample
from mura_core.evaluation.units import Floats

DRAWS = 2000
CONFIDENCE = 0.95
_LEAST_DEFINED = 0.95  # of the draws; a figure that fewer define is given as None
_NUMBERS_AT_ONCE = 2**17  # small enough for a processor's cache


def bootstrap(
    samples: Sequence[Sample], *, seed: int, draws: int = DRAWS
) -> list[dict[str, Floats]]:
    """Return every figure of several samples in the same bootstrap draws of patients.

    Parameters
    ----------
    samples : sequence of Sample
        Samples of the same patients, with the same patient numbers.
    seed : int
        Random seed. The draws don't depend on the number of cores.
    draws : int
        Number of bootstrap draws.

    Returns
    -------
    list of dict
        For each sample, a dict from each name of `FIGURES` to an ndarray of shape (draws,),
        float64. NaN where a figure isn't defined in a draw.
    """
    results = [{name: np.empty(draws) for name in FIGURES} for _ in samples]
    patients = samples[0].patient_count
    largest = max(len(sample.labels) for sample in samples)
    at_once = max(1, min(draws, _NUMBERS_AT_ONCE // largest))

    def compute(first: int) -> None:
        some = slice(first, min(first + at_once, draws))
        weights = draw_patients(patients, some.stop - first, (seed, first))
        for sample, result in zip(samples, results, strict=True):
            for name, figure in sample.figures(weights).items():
                result[name][some] = figure

    # These threads already use every core: keep BLAS from starting more.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(compute, range(0, draws, at_once)))
    return results


def is_defined(draws: Floats) -> bool:
    """Return whether at least 95 % of the draws define a figure.

    Parameters
    ----------
    draws : ndarray of shape (draws,), float64
        The figure in each draw, NaN where it isn't defined.
    """
    return bool(np.isfinite(draws).mean() >= _LEAST_DEFINED)


def interval(draws: Floats) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a figure.

    Parameters
    ----------
    draws : ndarray of shape (draws,), float64
        The figure in each draw, NaN where it isn't defined.

    Returns
    -------
    tuple of two floats, or None
        The ends of the interval; None if fewer than 95 % of the draws define the figure.
    """
    if not is_defined(draws):
        return None
    defined = draws[np.isfinite(draws)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def draw_patients(patients: int, draws: int, seed: int | tuple[int, int]) -> Floats:
    """Return how often each patient occurs in each bootstrap draw.

    Parameters
    ----------
    patients : int
        Number of patients.
    draws : int
        Number of draws.
    seed : int or tuple of two ints
        Random seed, passed to `numpy.random.default_rng`.

    Returns
    -------
    ndarray of shape (draws, patients), float64
    """
    drawn = np.random.default_rng(seed).integers(0, patients, (draws, patients))
    drawn += np.arange(draws)[:, None] * patients
    weights = np.bincount(drawn.ravel(), minlength=draws * patients)
    return weights.reshape(draws, patients).astype(np.float64)
