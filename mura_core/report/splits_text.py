"""Say in words how the images of a run were split."""

from __future__ import annotations

import pandas as pd


def splits_in_words(splits: pd.DataFrame) -> list[str]:
    """Return sentences that say which splits were dealt by the seed, and what was set aside.

    Parameters
    ----------
    splits : DataFrame
        Contents of a run's `splits.csv`. That of an older run has no column `split_by`, and gives
        no sentence on the seed.
    """
    if splits.empty:
        return []
    sentences = []
    dealt = splits[splits["split_by"] != "data"] if "split_by" in splits else splits[:0]
    if len(dealt):
        patients = dealt.groupby("split")["patient"].nunique()
        sides = ", ".join(f"{split} {count}" for split, count in patients.items())
        if "fold" in dealt:
            sides = f"{dealt['fold'].nunique()} folds"
        sentences.append(
            f"The split of {dealt['patient'].nunique()} patients was dealt by"
            f" {dealt['split_by'].iloc[0]}, not named by the data ({sides}): splits.csv lists them."
        )
    tested = int((splits["split"] == "test").sum())
    if tested:
        sentences.append(f"{tested} test images were neither trained on nor used for validation.")
    return sentences
