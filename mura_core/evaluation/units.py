"""Images grouped into the units that are judged: studies and patients."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import LEVELS

STUDY_SCORES = ("mean", "max", "noisy-or")  # of a study's images, and of a patient's
MEAN = "mean"  # the report's

Floats: TypeAlias = NDArray[np.float64]


def at_level(predictions: pd.DataFrame, level: str, study_score: str = MEAN) -> pd.DataFrame:
    """Return one row a unit of this level, in an order that isn't the images'.

    Parameters
    ----------
    predictions : DataFrame
        One row an image: the manifest's columns, `fold`, `probability` and `part_rate`.
    level : str
        One of `LEVELS`.
    study_score : {"mean", "max", "noisy-or"}
        How a unit's probability comes from its images' (see `score_units`).

    Returns
    -------
    DataFrame with the columns `body_part`, `patient`, `fold`, `label`, `probability` and the mean
    `part_rate`. A person isn't of one body part: at the level `patient` it is ALL, where there are
    several.
    """
    # Sorted, so that sums are taken in the same order however the images come.
    images = predictions.sort_values("path")
    grouped = images.groupby(LEVELS[level])
    units = grouped.agg(
        body_part=("body_part", "first"),
        patient=("patient", "first"),
        fold=("fold", "first"),
        label=("label", "max"),
        part_rate=("part_rate", "mean"),
    ).reset_index(drop=True)
    units["probability"] = score_units(
        images["probability"].to_numpy(np.float64), grouped.ngroup().to_numpy(), study_score
    )
    if level == "patient" and len(set(predictions["body_part"])) > 1:
        units["body_part"] = "ALL"
    return units


def score_units(probabilities: Floats, unit: NDArray[np.integer], study_score: str) -> Floats:
    """Return the probability of each unit, such as a study, from its images' probabilities.

    Parameters
    ----------
    probabilities : ndarray of shape (images,), float64
    unit : ndarray of shape (images,), int
        The unit of each image, as a number from 0; every unit has an image.
    study_score : {"mean", "max", "noisy-or"}
        The mean; the highest; or 1 - prod(1 - p), the probability that any image is abnormal if
        the images were independent (Pearl 1988, section 4.3.2).

    Returns
    -------
    ndarray of shape (units,), float64
    """
    images = np.bincount(unit)
    if study_score == "mean":
        return np.bincount(unit, probabilities) / images
    highest = np.zeros(len(images))
    np.maximum.at(highest, unit, probabilities)
    if study_score == "max":
        return highest
    with np.errstate(divide="ignore"):  # a probability of 1 gives 1
        # As logarithms: 1 - p would round the small probabilities of sure images away.
        any_abnormal = -np.expm1(np.bincount(unit, np.log1p(-probabilities)))
    # A single image keeps its probability to the last bit.
    return np.where(images == 1, highest, any_abnormal)


def selections(units: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the units of all body parts, under the name ALL, and those of each."""
    parts = sorted(units["body_part"].unique())
    every = [("ALL", units)] if len(parts) > 1 else []
    return every + [(part, units[units["body_part"] == part]) for part in parts]
