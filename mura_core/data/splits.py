"""Which patients train, which are held out to choose by, and which are judged.

A patient is on one side only, whatever body parts their images are of, and each side has about the
same share of each label of each body part (scikit-learn's StratifiedGroupKFold).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError

_TUNED_PROPORTION = (
    0.1  # of the training patients, by whom an epoch or an operating point is chosen
)
_MOST_PARTS = 20  # so a proportion is met to a twentieth at worst


@dataclass(frozen=True)
class Training:
    """One of the trainings of a run, of which k-fold validation has several.

    Attributes
    ----------
    fold : int
        From 1; 0 where there is one training alone.
    table : DataFrame
        The manifest's columns, with the `split` of this training: `train`, `tune` (held out to
        choose by), `valid` (judged) or `unused`.
    """

    fold: int
    table: pd.DataFrame


def trainings(
    table: pd.DataFrame,
    validate: str,
    *,
    proportion: float,
    folds: int,
    seed: int,
    tunes: bool,
) -> list[Training]:
    """Return the trainings that validate as is asked for.

    Parameters
    ----------
    table : DataFrame
        A manifest.
    validate : {"split", "holdout", "kfold"}
        Judge the data's own `valid` images; or hold training patients out, once or in folds, and
        leave the `valid` images alone.
    proportion : float
        Of the training images, which train where the rest is held out.
    folds : int
    seed : int
    tunes : bool
        Whether a tenth of each training's patients is held out of it to choose by.

    Raises
    ------
    DataError
        There are too few patients.
    """
    splits = {0: table["split"].to_numpy().astype("U6")}
    training = splits[0] == "train"
    if validate == "holdout":
        splits[0][:] = "unused"
        splits[0][training] = hold_out(table[training], seed=seed, proportion=proportion)
    elif validate == "kfold":
        fold = np.zeros(len(table), int)
        fold[training] = _deal(table[training], folds, seed) + 1
        splits = {
            number: np.select([fold == number, training], ["valid", "train"], "unused")
            for number in range(1, folds + 1)
        }
    return [
        Training(number, with_tuning(table.assign(split=split), seed=seed, tunes=tunes))
        for number, split in splits.items()
    ]


def hold_out(table: pd.DataFrame, *, seed: int, proportion: float = 0.8) -> NDArray[np.str_]:
    """Return `train` or `valid` for each row: a proportion of the patients trains.

    Parameters
    ----------
    table : DataFrame
        A manifest; its `patient`, `body_part` and `label` are used.
    seed : int
    proportion : float

    Returns
    -------
    ndarray of shape (len(table),), str

    Raises
    ------
    DataError
        There are fewer patients than parts that they would be dealt into.
    """
    held_out = Fraction(1 - proportion).limit_denominator(_MOST_PARTS)
    held_out = min(max(held_out, Fraction(1, _MOST_PARTS)), 1 - Fraction(1, _MOST_PARTS))
    dealt = _deal(table, held_out.denominator, seed)
    return np.where(dealt < held_out.numerator, "valid", "train")


def with_tuning(table: pd.DataFrame, *, seed: int, tunes: bool = True) -> pd.DataFrame:
    """Return a table in which a tenth of the training patients has the split `tune`."""
    if not tunes:
        return table
    split = table["split"].to_numpy().astype("U6")
    training = np.flatnonzero(split == "train")
    held_out = hold_out(table.iloc[training], seed=seed, proportion=1 - _TUNED_PROPORTION)
    split[training[held_out == "valid"]] = "tune"
    return table.assign(split=split)


def _deal(table: pd.DataFrame, parts: int, seed: int) -> NDArray[np.intp]:
    """Return the part, from 0, that each row's patient is dealt to, (len(table),)."""
    from sklearn.model_selection import StratifiedGroupKFold

    patients = table["patient"].nunique()
    if patients < parts:
        raise DataError(
            f"{patients} patients are too few to be dealt into {parts} parts: ask for fewer folds,"
            " or name the split of each image"
        )
    strata = table["body_part"].astype(str) + "\0" + table["label"].astype(str)
    # As many as there are of each part are dealt out, however few: no reason to warn.
    dealer = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    dealt = np.zeros(len(table), np.intp)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for part, (_, rows) in enumerate(dealer.split(table, strata, groups=table["patient"])):
            dealt[rows] = part
    return dealt
