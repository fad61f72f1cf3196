"""Figures from the predictions table alone, each with its level, its body part and its count.

Levels, from MURA and the 2019 report:

- `image`: one radiograph;
- `study`: the images of one body part of one patient at one time, MURA's unit;
- `patient_within_part`: a patient's images of one body part, the report's 'patient'.

The probability of a study or patient is the mean of its images' probabilities, and it is
abnormal when any of its images is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.manifest import PATIENT_WITHIN_PART, STUDY

OPERATING_POINT = 0.5  # the report's: positive at a probability of 0.5 or more
LEVELS = {"image": ["path"], "study": STUDY, "patient_within_part": PATIENT_WITHIN_PART}
FIGURES = ("accuracy", "sensitivity", "specificity", "auroc", "kappa")


def evaluate(predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the figures of every level, over all and for each body part.

    Parameters
    ----------
    predictions : DataFrame
        The manifest's columns and `probability`, one row an image.

    Returns
    -------
    list of dict
        `level`, `body_part` (ALL for all), `count`, `abnormal`, `normal`, the confusion counts,
        `always_normal_accuracy`, the figures, and `not_given`: why figures are None, or None.
    """
    rows = []
    for level in LEVELS:
        units = at_level(predictions, level)
        parts = sorted(units["body_part"].unique())
        selections = [("ALL", units)] if len(parts) > 1 else []
        selections += [(part, units[units["body_part"] == part]) for part in parts]
        for part, chosen in selections:
            labels = chosen["label"].to_numpy()
            probabilities = chosen["probability"].to_numpy()
            rows.append({"level": level, "body_part": part, **figures(labels, probabilities)})
    return rows


def at_level(predictions: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return one row a unit of this level, with `body_part`, `label` and `probability`."""
    grouped = predictions.groupby(LEVELS[level], sort=False)
    return grouped.agg(
        body_part=("body_part", "first"),
        label=("label", "max"),
        probability=("probability", "mean"),
    ).reset_index(drop=True)


def figures(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> dict[str, Any]:
    """Return the counts of some units, and the figures that these counts give ground for.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        1 abnormal, 0 normal.
    probabilities : ndarray of shape (n,)
        Of 'abnormal'.
    """
    from sklearn.metrics import roc_auc_score

    positive = probabilities >= OPERATING_POINT
    abnormal = labels == 1
    row = from_confusion(
        int(np.sum(positive & abnormal)),
        int(np.sum(positive & ~abnormal)),
        int(np.sum(~positive & ~abnormal)),
        int(np.sum(~positive & abnormal)),
    )
    if row["not_given"] is None:
        row["auroc"] = float(roc_auc_score(labels, probabilities))
    return row


def from_confusion(
    true_positives: int, false_positives: int, true_negatives: int, false_negatives: int
) -> dict[str, Any]:
    """Return the counts and every figure that follows from a confusion matrix."""
    abnormal = true_positives + false_negatives
    normal = true_negatives + false_positives
    count = abnormal + normal
    row: dict[str, Any] = {
        "count": count,
        "abnormal": abnormal,
        "normal": normal,
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": true_negatives,
        "false_negatives": false_negatives,
        "always_normal_accuracy": normal / count if count else None,
        **dict.fromkeys(FIGURES),
        "not_given": None,
    }
    if abnormal == 0 or normal == 0:
        row["not_given"] = f"{abnormal} abnormal and {normal} normal"
        return row
    accuracy = (true_positives + true_negatives) / count
    # Cohen 1960: agreement beyond what the two marginal rates would give by chance.
    said_abnormal = true_positives + false_positives
    by_chance = (abnormal * said_abnormal + normal * (count - said_abnormal)) / count**2
    row["accuracy"] = accuracy
    row["sensitivity"] = true_positives / abnormal
    row["specificity"] = true_negatives / normal
    row["kappa"] = (accuracy - by_chance) / (1 - by_chance)
    return row
