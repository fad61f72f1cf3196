"""Calibrate probabilities on predictions for held-out training patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mura_core.evaluation.units import Floats

Calibration = Callable[[Floats], Floats]


def fit_calibration(
    kind: str, logits: Floats, labels: NDArray[np.integer]
) -> tuple[Calibration, float | None]:
    """Fit a function from logits to calibrated probabilities.

    Parameters
    ----------
    kind : {"none", "temperature", "isotonic"}
        Temperature scaling divides the logits by the maximum-likelihood temperature (Guo et al.
        2017). Isotonic regression fits a non-decreasing step function by least squares (Zadrozny
        and Elkan 2002). "none" applies the sigmoid.
    logits : ndarray of shape (n,), float64
        Logits of held-out images.
    labels : ndarray of shape (n,), int
        Their labels, 1 for abnormal.

    Returns
    -------
    calibration : callable
        Function from logits to probabilities, ndarrays of shape (n,).
    temperature : float or None
        The temperature, for temperature scaling.
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
    return uncalibrated, None


def uncalibrated(logits: Floats) -> Floats:
    """Return the sigmoid of logits, ndarrays of shape (n,)."""
    from scipy.special import expit

    return expit(logits)
