"""Probabilities calibrated on predictions for held-out training patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mura_core.evaluation.units import Floats

Calibration = Callable[[Floats], Floats]


CALIBRATIONS = ("none", "temperature", "isotonic")


def fit_calibration(
    kind: str, logits: Floats, labels: NDArray[np.integer]
) -> tuple[Calibration, float | None]:
    """Return a function from logits to calibrated probabilities, and the temperature if it has one.

    Parameters
    ----------
    kind : {"none", "temperature", "isotonic"}
        Temperature divides the logits by the number with the highest likelihood (Guo et al. 2017);
        isotonic takes the rising steps with the least squared error (Zadrozny and Elkan 2002).
    logits, labels : ndarray of shape (n,)
        What it is fitted to.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import expit

    if kind == "temperature":
        signed = np.where(labels == 1, -logits, logits).astype(np.float64)

        def loss(log_temperature: float) -> float:
            return float(np.logaddexp(0, signed / np.exp(log_temperature)).mean())

        temperature = float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x))
        return lambda new: expit(new / temperature), temperature
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits, labels)
        return lambda new: steps.predict(new), None
    return expit, None
