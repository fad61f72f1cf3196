"""Apply calibration and operating points to the predictions of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mura_core.evaluation import Judgement, judge, parse_rule
from mura_core.runs.config import config_of
from mura_core.runs.folder import TUNING, read_predictions, seed_folder
from mura_core.runs.metrics import last_metrics


def judge_run(
    folder: Path, settings: Mapping[str, str] | None = None, *, seed: int | None = None
) -> Judgement:
    """Return the calibrated predictions and the operating points of a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    settings : mapping, optional
        `operating_point`, `calibrate` and `study_score`; by default those of the run.
    seed : int, optional
        Seed of the networks to judge; by default the average of all seeds is judged.
    """
    settings = settings or settings_of(folder)
    own = folder if seed is None else seed_folder(folder, config_of(folder), seed)
    tuning = read_predictions(own, TUNING) if (own / TUNING).is_file() else None
    return judge(
        read_predictions(own),
        tuning,
        parse_rule(settings["operating_point"]),
        settings["calibrate"],
        settings["study_score"],
    )


def settings_of(folder: Path) -> dict[str, str]:
    """Return `operating_point`, `calibrate` and `study_score` of a run.

    They are read from `metrics.json`, or from `config.yaml` if the run wasn't evaluated yet.

    Parameters
    ----------
    folder : Path
        The run folder.
    """
    names = ("operating_point", "calibrate", "study_score")
    last = last_metrics(folder) or config_of(folder)
    return {name: getattr(last, name) for name in names}
