"""The predictions of a run, judged by its own settings or by others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mura_core.evaluation import Judgement, judge, parse_rule
from mura_core.runs.config import config_of
from mura_core.runs.folder import TUNING, read_metrics, read_predictions, seed_folder


def judge_run(
    folder: Path, settings: Mapping[str, str] | None = None, *, seed: int | None = None
) -> Judgement:
    """Return a run's predictions as they are judged.

    Parameters
    ----------
    folder : Path
        Of the run.
    settings : mapping, optional
        The `operating_point`, `calibrate` and `study_score` to judge by; by default the run's own.
    seed : int, optional
        Of the run's seeds, the one whose networks are judged; by default their average is.
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
    """Return the `operating_point`, `calibrate` and `study_score` by which a run is judged.

    They are those of its `metrics.json`; of its `config.yaml` where it wasn't judged before.
    """
    names = ("operating_point", "calibrate", "study_score")
    config = config_of(folder)
    settings = {name: getattr(config, name) for name in names}
    if (folder / "metrics.json").is_file():
        metrics = read_metrics(folder)
        settings |= {name: metrics[name] for name in names if name in metrics}
    return settings
