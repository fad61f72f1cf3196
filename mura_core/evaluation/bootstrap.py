"""Intervals by bootstrap over patients.

The images of a patient resemble one another, so patients are drawn, not images (Efron 1979; for
clusters, Field and Welsh 2007): a draw takes as many patients as there are, with replacement, and
each brings all of its units. A patient that is drawn twice counts twice, so a draw is a vector of
weights, and many are computed at once.
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
_LEAST_DEFINED = 0.95  # of the draws must define a figure; else neither it nor an interval is given
_NUMBERS_AT_ONCE = 2**17  # so that they stay in a processor's cache


def bootstrap(
    samples: Sequence[Sample], *, seed: int, draws: int = DRAWS
) -> list[dict[str, Floats]]:
    """Return every figure of some samples in the same draws of patients.

    Parameters
    ----------
    samples : sequence of Sample
        Of the same patients, numbered alike.
    seed : int
        The same seed and samples give the same draws, on however many cores.
    draws : int

    Returns
    -------
    list of dict from each name of `FIGURES` to an ndarray of shape (draws,), float64
        NaN where a draw doesn't define the figure.
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

    # The threads are ours: a matrix product that starts its own would wait for cores that are busy.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(compute, range(0, draws, at_once)))
    return results


def is_defined(draws: Floats) -> bool:
    """Return whether enough of a figure's draws, of shape (draws,), define it for an interval."""
    return bool(np.isfinite(draws).mean() >= _LEAST_DEFINED)


def interval(draws: Floats) -> tuple[float, float] | None:
    """Return the 95 % interval (percentiles) of a figure's draws, of shape (draws,).

    None where fewer than 95 % of the draws define the figure.
    """
    if not is_defined(draws):
        return None
    defined = draws[np.isfinite(draws)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def draw_patients(patients: int, draws: int, seed: int | tuple[int, int]) -> Floats:
    """Return how often each draw takes each patient, (draws, patients)."""
    drawn = np.random.default_rng(seed).integers(0, patients, (draws, patients))
    drawn += np.arange(draws)[:, None] * patients
    weights = np.bincount(drawn.ravel(), minlength=draws * patients)
    return weights.reshape(draws, patients).astype(np.float64)
