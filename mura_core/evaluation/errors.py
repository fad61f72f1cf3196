"""The images that were called wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mura_core.evaluation.operating_point import OperatingPoints, limits_of


def errors_of(predictions: pd.DataFrame, points: OperatingPoints) -> pd.DataFrame:
    """Return the images on the wrong side of their operating point, by part, surest first.

    Parameters
    ----------
    predictions : DataFrame
        One row an image, with the probability that it's judged by.
    points : mapping
        The operating point of each level and fold.

    Returns
    -------
    DataFrame with the predictions' columns, `operating_point`, and `margin`: how far the
    probability is on the wrong side. Of two points it's the one on whose wrong side it is.
    """
    low, high = limits_of(predictions["fold"], "image", points)
    missed = (predictions["label"] == 1) & (predictions["probability"] < low)
    false_alarm = (predictions["label"] == 0) & (predictions["probability"] >= high)
    point = np.where(missed, low, high)
    wrong = predictions.assign(
        operating_point=point, margin=(predictions["probability"] - point).abs()
    )[missed | false_alarm]
    return wrong.sort_values(["body_part", "margin", "path"], ascending=[True, False, True])
