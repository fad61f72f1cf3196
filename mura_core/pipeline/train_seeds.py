"""Train several networks that differ only in their seed, and average their predictions.

The average is usually better than a single network (Lakshminarayanan, Pritzel and Blundell 2017,
arXiv:1612.01474). The spread of the networks shows how much a figure depends on the seed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mura_core.data import Training
from mura_core.files import write_csv
from mura_core.pipeline.train_folds import RunContext, train_each
from mura_core.runs import TUNING, read_predictions, read_run_table, seed_folder
from mura_core.training import history_table

log = logging.getLogger("mura")

PREDICTIONS = "predictions.csv"


def train_from_each_seed(trainings: list[Training], context: RunContext, folder: Path) -> None:
    """Train one network per fold and seed, and average the predictions of the seeds.

    All seeds use the same split of the images. Networks are trained on shuffled labels only from
    the first seed, because only its networks are explained. Finished trainings are skipped.

    Parameters
    ----------
    trainings : list of Training
        One training, or one per fold. The rows of their tables are those of the prepared images.
    context : RunContext
        What the trainings share.
    folder : Path
        The run folder.
    """
    config = context.config
    seeds = config.network_seeds
    folders = {seed: seed_folder(folder, config, seed) for seed in seeds}
    for number, (seed, own) in enumerate(folders.items()):
        if len(seeds) > 1:
            log.info("\nSeed %d, %d of %d", seed, number + 1, len(seeds))
        of_seed = replace(config, seed=seed, shuffled_labels=config.shuffled_labels and number == 0)
        train_each(trainings, replace(context, config=of_seed), own)
    if len(seeds) > 1:
        _average(folders, folder)


def _average(folders: Mapping[int, Path], folder: Path) -> None:
    """Write the histories of all seeds, and the mean of their predictions, to the run folder."""
    histories = {seed: history_table(own) for seed, own in folders.items()}
    _warn_of_twins(histories)
    table = pd.concat(own.assign(run_seed=seed) for seed, own in histories.items())
    write_csv(folder / "history.csv", table)
    first = next(iter(folders.values()))
    write_csv(folder / "splits.csv", read_run_table(first, "splits.csv"))
    # Written last: predictions mark a training as finished.
    for name in (TUNING, PREDICTIONS):
        if (first / name).is_file():
            write_csv(
                folder / name,
                mean_prediction([read_predictions(own, name) for own in folders.values()]),
            )


def mean_prediction(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return predictions with the mean probability of several networks, and its logit.

    Parameters
    ----------
    tables : list of DataFrame
        Contents of `predictions.csv` of each network, for the same images in the same order.
    """
    from mura_core.inference import mean_logit, probability

    votes = np.stack([table["logit"].to_numpy() for table in tables], axis=1)
    logit = mean_logit(votes).astype(np.float32)
    return tables[0].assign(logit=logit, probability=probability(logit))


def _warn_of_twins(histories: Mapping[int, pd.DataFrame]) -> None:
    """Log a warning if two trainings of a fold ended with the same seed after restarts."""
    last = pd.DataFrame(
        {"run_seed": run_seed, "fold": fold, "seed": own["seed"].iloc[-1]}
        for run_seed, history in histories.items()
        for fold, own in history.assign(fold=history.get("fold", 0)).groupby("fold")
    )
    for _, twins in last.groupby(["fold", "seed"]):
        if len(twins) > 1:
            log.warning(
                "The networks of the seeds %s are the same, because a training restarted from the"
                " seed of another. Name seeds further apart.",
                " and ".join(map(str, twins["run_seed"])),
            )
