"""Detect networks that give every image the same answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SAME_ANSWER = "the network gives every image the same answer"


# Equal answers still differ by float32 rounding, by some units in the last place.
_ROUNDING = 32 * float(np.finfo(np.float32).eps)


def is_constant(logits: NDArray[np.floating]) -> bool:
    """Return whether logits of several images differ by no more than float32 rounding.

    Parameters
    ----------
    logits : ndarray of shape (n,)
        Finite logits. For fewer than two, the result is False.
    """
    if len(logits) < 2:
        return False
    values = np.asarray(logits, np.float64)
    return bool(np.ptp(values) <= _ROUNDING * max(1.0, float(np.abs(values).max())))


def constant_output(predictions: pd.DataFrame) -> str | None:
    """Return a clause that a network gives every image the same answer, or None.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: `logit` and `fold`, the fold whose network predicted it.
    """
    folds = constant_folds(predictions)
    if not folds:
        return None
    if len(predictions["fold"].unique()) == 1:
        return SAME_ANSWER
    numbers = " and ".join(map(str, folds))
    return SAME_ANSWER.replace("network", f"network of fold {numbers}")


def constant_folds(predictions: pd.DataFrame) -> list[int]:
    """Return the folds whose network gives every image the same answer.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: `fold` and `logit`. Without the column `logit`, the result is empty.
    """
    if "logit" not in predictions:
        return []
    logits, fold = predictions["logit"].to_numpy(), predictions["fold"].to_numpy()
    return [number for number in np.unique(fold).tolist() if is_constant(logits[fold == number])]
