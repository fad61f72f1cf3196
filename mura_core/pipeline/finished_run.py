"""A finished run, loaded to predict new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.evaluation import Floats, Judgement, OperatingPoint, constant_output
from mura_core.progress import progress
from mura_core.runs import (
    RunConfig,
    config_of,
    judge_run,
    read_metrics,
    seed_folder,
    training_folder,
)

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, used to predict new images.

    Attributes
    ----------
    folder : Path
        The run folder.
    config : RunConfig
        Settings of the run.
    judgement : Judgement
        Calibration of each fold, and the operating points.
    models : dict of list of keras.Model
        Models by fold, one per seed.
    """

    folder: Path
    config: RunConfig
    judgement: Judgement
    models: Mapping[int, Sequence[keras.Model]]

    @property
    def networks(self) -> list[keras.Model]:
        """The models of all folds and seeds."""
        return [model for models in self.models.values() for model in models]

    def point(self, level: str) -> OperatingPoint:
        """Return the operating point of a level, averaged over folds.

        New images are predicted by the networks of all folds, so no fold's own operating point
        applies.

        Parameters
        ----------
        level : str
            What the operating point is applied to: a key of `LEVELS`.
        """
        points = [self.judgement.points[level, fold] for fold in self.models]
        threshold = float(np.mean([point.threshold for point in points]))
        if points[0].normal_below is None:
            return OperatingPoint(threshold)
        low = float(np.mean([point.low for point in points]))
        return OperatingPoint(threshold, normal_below=low)

    def answers(
        self, images: NDArray[np.uint8], rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], Floats]:
        """Return the logits of all networks, and the run's calibrated probability.

        Within a fold, probabilities are averaged over seeds and then calibrated. The result is the
        mean over folds.

        Parameters
        ----------
        images : ndarray of shape (N, size, size), uint8
            Prepared images.
        rows : ndarray of shape (n,), int
            Which of them to predict.

        Returns
        -------
        logits : ndarray of shape (n,), float32
            Logit of the mean probability of all networks, not calibrated.
        probability : ndarray of shape (n,), float64
        """
        from mura_core.inference import mean_logit, predict_logits

        flip = self.config.average_flips
        logits: list[NDArray[np.float32]] = []
        calibrated = []
        with progress("Predicting", "images") as so_far:
            for fold, models in self.models.items():
                of_fold = []
                for model in models:
                    of_fold.append(predict_logits(model, images, rows, flip=flip))
                    done = len(logits) + len(of_fold)
                    so_far(done * len(rows), len(self.networks) * len(rows))
                logits += of_fold
                # In float32, like the predictions of the run.
                mean = mean_logit(np.stack(of_fold, axis=1)).astype(np.float32)
                calibrated.append(self.judgement.calibrations[fold](mean.astype(np.float64)))
        mean = mean_logit(np.stack(logits, axis=1)).astype(np.float32)
        return mean, np.mean(calibrated, axis=0)


def load_run(folder: Path, judgement: Judgement) -> FinishedRun:
    """Return a finished run with the networks of all its folds and seeds.

    Parameters
    ----------
    folder : Path
        The run folder.
    judgement : Judgement
        Its predictions, calibrations and operating points.
    """
    from mura_core.inference import load_model

    config = config_of(folder)
    of_seeds = [seed_folder(folder, config, seed) for seed in config.network_seeds]
    models = {
        fold: [load_model(training_folder(own, fold) / "model.keras") for own in of_seeds]
        for fold in sorted(set(judgement.predictions["fold"].tolist()))
    }
    return FinishedRun(folder, config, judgement, models)


def judgement_of(folder: Path) -> Judgement:
    """Return the calibrations and operating points that a run applies to new images.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    DataError
        If the run wasn't evaluated, or was by another version, or its network gives the same output
        for every image.
    """
    read_metrics(folder)  # refuses a run that wasn't evaluated
    judgement = judge_run(folder)
    if reason := constant_output(judgement.predictions):
        raise DataError(f"{folder}: {reason}")
    return judgement
