"""Split patients into training, tuning and validation sets.

All images of a patient are in the same set, whatever the body part. The sets have about the same
proportions of labels and body parts (scikit-learn's StratifiedGroupKFold).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError

# Proportion of the training patients held out to choose the epoch and the operating point.
_TUNED_PROPORTION = 0.1
_MOST_PARTS = 20  # proportions are rounded to fractions with at most this denominator


@dataclass(frozen=True)
class Training:
    """One training of a run; k-fold cross-validation has several.

    Attributes
    ----------
    fold : int
        Number of the fold, from 1; 0 if there is only one training.
    table : DataFrame
        The manifest, with the `split` of this training: `train`, `tune` (held out for model
        selection), `valid` (evaluated), `test` (set aside) or `unused`; and the column `split_by`,
        which is `data` if the data names the split, otherwise such as `seed 2019`.
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
    names_split: bool = True,
) -> list[Training]:
    """Return the trainings of a validation scheme, with their splits.

    Parameters
    ----------
    table : DataFrame
        A manifest's table.
    validate : {"split", "holdout", "kfold"}
        Validate on the data's own `valid` images, on held-out training patients, or by k-fold
        cross-validation of the training patients. The last two don't use the `valid` images; none
        uses the `test` images.
    proportion : float
        Proportion of the training images to train on, for "holdout".
    folds : int
        Number of folds, for "kfold".
    seed : int
        Random seed of the splits.
    tunes : bool
        Whether to hold out a tenth of each training's patients as `tune`, for model selection.
    names_split : bool
        Whether the data names its splits; otherwise they were dealt by the seed.

    Returns
    -------
    list of Training
        One training, or one per fold.

    Raises
    ------
    DataError
        There are too few patients.
    """
    splits = {0: table["split"].to_numpy().astype("U6")}
    training = splits[0] == "train"
    rest = np.where(splits[0] == "test", "test", "unused")
    if validate == "holdout":
        splits[0] = rest.copy()
        splits[0][training] = hold_out(table[training], seed=seed, proportion=proportion)
    elif validate == "kfold":
        fold = np.zeros(len(table), int)
        fold[training] = _deal(table[training], folds, seed) + 1
        splits = {
            number: np.select([fold == number, training], ["valid", "train"], rest)
            for number in range(1, folds + 1)
        }
    dealt = training if validate != "split" else np.full(len(table), not names_split)
    return [
        _training(number, table.assign(split=split), dealt, seed=seed, tunes=tunes)
        for number, split in splits.items()
    ]


def _training(
    number: int, table: pd.DataFrame, dealt: NDArray[np.bool_], *, seed: int, tunes: bool
) -> Training:
    table = with_tuning(table, seed=seed, tunes=tunes)
    dealt = dealt | (table["split"] == "tune").to_numpy()
    return Training(number, table.assign(split_by=np.where(dealt, f"seed {seed}", "data")))


def hold_out(table: pd.DataFrame, *, seed: int, proportion: float = 0.8) -> NDArray[np.str_]:
    """Return a stratified split of the patients into `train` and `valid`.

    Parameters
    ----------
    table : DataFrame
        A manifest's table; the columns `patient`, `body_part` and `label` are used.
    seed : int
        Random seed.
    proportion : float
        Proportion to train on, rounded to a fraction with a denominator of at most 20.

    Returns
    -------
    ndarray of shape (len(table),), str
        `train` or `valid` for each row.

    Raises
    ------
    DataError
        There are fewer patients than the denominator of that fraction.
    """
    held_out = Fraction(1 - proportion).limit_denominator(_MOST_PARTS)
    held_out = min(max(held_out, Fraction(1, _MOST_PARTS)), 1 - Fraction(1, _MOST_PARTS))
    dealt = _deal(table, held_out.denominator, seed)
    return np.where(dealt < held_out.numerator, "valid", "train")


def with_tuning(table: pd.DataFrame, *, seed: int, tunes: bool = True) -> pd.DataFrame:
    """Return a table with a tenth of the training patients moved to the split `tune`.

    Parameters
    ----------
    table : DataFrame
        A manifest's table.
    seed : int
        Random seed.
    tunes : bool
        If False, the table is returned unchanged.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        There are too few training patients.
    """
    if not tunes:
        return table
    split = table["split"].to_numpy().astype("U6")
    training = np.flatnonzero(split == "train")
    held_out = hold_out(table.iloc[training], seed=seed, proportion=1 - _TUNED_PROPORTION)
    split[training[held_out == "valid"]] = "tune"
    return table.assign(split=split)


def part_rates(table: pd.DataFrame, body_parts: pd.Series) -> pd.Series:
    """Return the rate of abnormal images of some body parts among the training images.

    Parameters
    ----------
    table : DataFrame
        A training's table: `body_part`, `label` and `split`.
    body_parts : Series of str
        The body part of each of n images.

    Returns
    -------
    Series of n float
        The rate of all body parts for one without training images.
    """
    seen = table[table["split"].isin(["train", "tune"])]
    rates = seen.groupby("body_part")["label"].mean()
    return body_parts.map(rates).fillna(seen["label"].mean())


def _deal(table: pd.DataFrame, parts: int, seed: int) -> NDArray[np.intp]:
    """Return the group, from 0, that each row's patient is assigned to, (len(table),)."""
    from sklearn.model_selection import StratifiedGroupKFold

    patients = table["patient"].nunique()
    if patients < parts:
        raise DataError(
            f"{patients} patients are too few to split into {parts} groups: use fewer folds,"
            " or give the split of each image"
        )
    dealer = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    label = table["label"].astype(str)
    # With few patients, strata of body part and label may be too small to be dealt out.
    for strata in (table["body_part"].astype(str) + "\0" + label, label, label.str.slice(0, 0)):
        if strata.value_counts().max() < parts:
            continue
        dealt = np.zeros(len(table), np.intp)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for part, (_, rows) in enumerate(dealer.split(table, strata, groups=table["patient"])):
                dealt[rows] = part
        if len(np.unique(dealt)) == parts:
            return dealt
    return _deal_in_turn(table["patient"], parts, seed)


def _deal_in_turn(patients: pd.Series, parts: int, seed: int) -> NDArray[np.intp]:
    """Return the group of each row's patient; groups differ by at most one patient."""
    number, _ = pd.factorize(patients, sort=True)
    order = np.random.default_rng(seed).permutation(number.max() + 1)
    return (order % parts)[number]
