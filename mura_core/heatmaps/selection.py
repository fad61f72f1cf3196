"""Choose the judged images to explain."""

from __future__ import annotations

import pandas as pd

from mura_core.evaluation import OperatingPoints, limits_of


def choose(predictions: pd.DataFrame, points: OperatingPoints, count: int) -> pd.DataFrame:
    """Return a balanced sample of the predictions, most confident first.

    Images are taken round-robin from the combinations of body part, label and verdict, most
    confident first.

    Parameters
    ----------
    predictions : DataFrame
        `body_part`, `fold`, `label`, `logit` and `probability`, one row per image.
    points : mapping
        The operating point of each level and fold.
    count : int
        Number of images to choose.

    Returns
    -------
    DataFrame
        Rows of `predictions`, at most `count`.
    """
    low, high = limits_of(predictions["fold"], "image", points)
    probability = predictions["probability"]
    # With two operating points there are three verdicts.
    outcome = predictions["label"] * 3 + (probability >= low) + (probability >= high)
    surest_first = predictions.assign(outcome=outcome, confidence=predictions["logit"].abs())
    surest_first = surest_first.sort_values("confidence", ascending=False, kind="stable")
    turn = surest_first.groupby(["body_part", "outcome"]).cumcount()
    ordered = surest_first.assign(turn=turn).sort_values(
        ["turn", "confidence"], ascending=[True, False], kind="stable"
    )
    return predictions.loc[ordered.index[:count]]
