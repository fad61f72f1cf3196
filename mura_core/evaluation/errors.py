"""List the misclassified images."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mura_core.evaluation.operating_point import OperatingPoints, limits_of


def errors_of(predictions: pd.DataFrame, points: OperatingPoints) -> pd.DataFrame:
    """Return the misclassified images by body part, most confident first.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: `path`, `body_part`, `fold`, `label` and calibrated `probability`.
    points : mapping
        The operating point of each level and fold.

    Returns
    -------
    DataFrame
        The predictions' columns and two more: `operating_point`, the threshold that the probability
        is on the wrong side of, and `margin`, its distance from that threshold.
    """
    low, high = limits_of(predictions["fold"], "image", points)
    missed = (predictions["label"] == 1) & (predictions["probability"] < low)
    false_alarm = (predictions["label"] == 0) & (predictions["probability"] >= high)
    point = np.where(missed, low, high)
    wrong = predictions.assign(
        operating_point=point, margin=(predictions["probability"] - point).abs()
    )[missed | false_alarm]
    return wrong.sort_values(["body_part", "margin", "path"], ascending=[True, False, True])
