"""A finished run, loaded to be used on new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mura_core.errors import DataError
from mura_core.evaluation import Judgement, OperatingPoint, constant_output
from mura_core.pipeline.evaluate import METRICS_VERSION
from mura_core.runs import RunConfig, judge_run, read_metrics

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FinishedRun:
    """A run as it is used for new images.

    Attributes
    ----------
    folder : Path
    config : RunConfig
    judgement : Judgement
        With the calibration of each fold, and the operating points.
    models : dict of list of keras.Model
        By fold, one a seed.
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
        """Return the operating point of a level.

        With folds it is the mean of theirs: none of them judged new images alone.
        """
        points = [self.judgement.points[level, fold] for fold in self.models]
        threshold = float(np.mean([point.threshold for point in points]))
        if points[0].normal_below is None:
            return OperatingPoint(threshold)
        low = float(np.mean([point.low for point in points]))
        return OperatingPoint(threshold, normal_below=low)


def judgement_of(folder: Path) -> Judgement:
    """Return the judgement that a run's new predictions are made by.

    Raises
    ------
    DataError
        The run wasn't judged by this version, or its network gives every image the same answer.
    """
    version = read_metrics(folder).get("version")
    if version != METRICS_VERSION:
        raise DataError(
            f"{folder}: was judged by another version of mura-run (its metrics.json is of version"
            f" {version}, not {METRICS_VERSION}): judge it again with mura-run evaluate {folder}"
        )
    judgement = judge_run(folder)
    if reason := constant_output(judgement.predictions):
        raise DataError(f"{folder}: {reason}")
    return judgement
