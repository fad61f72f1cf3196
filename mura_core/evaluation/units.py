"""Group images into judged units, such as studies and patients."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.data import ALL, LEVELS
from mura_core.evaluation.choices import MEAN

Floats: TypeAlias = NDArray[np.float64]


def at_level(predictions: pd.DataFrame, level: str, study_score: str = MEAN) -> pd.DataFrame:
    """Return one row per unit of a level.

    Parameters
    ----------
    predictions : DataFrame
        One row per image: the manifest's columns, `fold`, `probability` and `part_rate`.
    level : str
        One of `LEVELS`.
    study_score : {"mean", "max", "noisy-or"}
        How a unit's probability is computed from its images (see `score_units`).

    Returns
    -------
    DataFrame
        `body_part`, `patient`, `fold`, `label`, `probability` and the mean `part_rate`. At the
        level `patient`, `body_part` is ALL if the predictions have several body parts. The rows
        aren't in the order of the images.
    """
    # Sort, so that rounding of the sums doesn't depend on the order of the images.
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
        units["body_part"] = ALL
    return units


def score_units(probabilities: Floats, unit: NDArray[np.integer], study_score: str) -> Floats:
    """Return the probability of each unit, such as a study, from its images' probabilities.

    Parameters
    ----------
    probabilities : ndarray of shape (images,), float64
        The probability of each image.
    unit : ndarray of shape (images,), int
        Number of each image's unit, from 0. Every unit must have an image.
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
        # Sum logarithms, since 1 - p would lose small probabilities to rounding.
        any_abnormal = -np.expm1(np.bincount(unit, np.log1p(-probabilities)))
    # Return the probability of a single image unchanged, to the last bit.
    return np.where(images == 1, highest, any_abnormal)


def selections(units: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the units of all body parts, named ALL, and those of each body part.

    Parameters
    ----------
    units : DataFrame
        As returned by `at_level`.

    Returns
    -------
    list of (str, DataFrame)
        Name and units. ALL is first, and is left out if there is only one body part.
    """
    parts = sorted(units["body_part"].unique())
    every = [(ALL, units)] if len(parts) > 1 else []
    return every + [(part, units[units["body_part"] == part]) for part in parts]
