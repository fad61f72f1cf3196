"""The methods to choose from when predictions are evaluated."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

CalibrationMethod: TypeAlias = Literal["none", "temperature", "isotonic"]
StudyScore: TypeAlias = Literal["mean", "max", "noisy-or"]

CALIBRATIONS: tuple[str, ...] = get_args(CalibrationMethod)
STUDY_SCORES: tuple[str, ...] = get_args(StudyScore)
MEAN = "mean"  # the report's
