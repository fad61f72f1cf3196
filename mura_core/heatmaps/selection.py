"""Which of the judged images are explained."""

from __future__ import annotations

import pandas as pd

from mura_core.evaluation import OperatingPoints, limits_of


def choose(predictions: pd.DataFrame, points: OperatingPoints, count: int) -> pd.DataFrame:
    """Return a balanced sample of the predictions, the most confident first.

    Body parts and outcomes (label and verdict) take turns, each with the image
    that the network was surest about.
    """
    low, high = limits_of(predictions["fold"], "image", points)
    probability = predictions["probability"]
    # Three verdicts with two operating points.
    outcome = predictions["label"] * 3 + (probability >= low) + (probability >= high)
    surest_first = predictions.assign(outcome=outcome, confidence=predictions["logit"].abs())
    surest_first = surest_first.sort_values("confidence", ascending=False, kind="stable")
    turn = surest_first.groupby(["body_part", "outcome"]).cumcount()
    ordered = surest_first.assign(turn=turn).sort_values(
        ["turn", "confidence"], ascending=[True, False], kind="stable"
    )
    return predictions.loc[ordered.index[:count]]
