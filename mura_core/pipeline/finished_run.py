"""A finished run, loaded to predict new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mura_core.errors import DataError
from mura_core.evaluation import Judgement, OperatingPoint, constant_output
from mura_core.runs import RunConfig, judge_run, read_metrics

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
        level : {"image", "study"}
            What the operating point is applied to.
        """
        points = [self.judgement.points[level, fold] for fold in self.models]
        threshold = float(np.mean([point.threshold for point in points]))
        if points[0].normal_below is None:
            return OperatingPoint(threshold)
        low = float(np.mean([point.low for point in points]))
        return OperatingPoint(threshold, normal_below=low)


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
