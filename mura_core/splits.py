"""Which patients train and which validate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError


def hold_out(table: pd.DataFrame, *, seed: int, parts: int = 5) -> NDArray[np.str_]:
    """Return `train` or `valid` for each row: one of `parts` parts of the patients validates.

    No patient is on both sides, and both sides have about the same share of each label of each
    body part (scikit-learn's StratifiedGroupKFold).

    Parameters
    ----------
    table : DataFrame
        A manifest; its `patient`, `body_part` and `label` are used.

    Returns
    -------
    ndarray of shape (len(table),), str

    Raises
    ------
    DataError
        There are fewer patients than parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    patients = table["patient"].nunique()
    if patients < parts:
        raise DataError(
            f"{patients} patients are too few to hold some out; name the split of each image"
        )
    strata = table["body_part"].astype(str) + table["label"].astype(str)
    folds = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    _, valid = next(folds.split(table, strata, groups=table["patient"]))
    split = np.full(len(table), "train")
    split[valid] = "valid"
    return split
