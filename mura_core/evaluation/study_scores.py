"""Compare the study scores: ways to compute a study's probability from its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval
from mura_core.evaluation.choices import MEAN, STUDY_SCORES
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.judgement import Judgement
from mura_core.evaluation.sample import sample_of
from mura_core.evaluation.units import at_level

COMPARED = ("auroc", "kappa", "accuracy")
_GIVEN = (*COMPARED, "uncertain_share")


def compare_study_scores(
    judgements: Mapping[str, Judgement], *, seed: int, draws: int = DRAWS
) -> list[dict[str, Any]]:
    """Return the figures of the studies of all body parts for each study score.

    Parameters
    ----------
    judgements : mapping of Judgement
        The same predictions, judged with each of `STUDY_SCORES`.
    seed : int
        Random seed of the bootstrap over patients.
    draws : int
        Number of bootstrap draws.

    Returns
    -------
    list of dict
        One for each score: `study_score`, `count` (studies), `images`, each of `COMPARED` and
        `uncertain_share` or None, their `intervals`, and `not_given`, why there are no figures, or
        None.
    """
    samples = {}
    for score in STUDY_SCORES:
        judged = judgements[score]
        units = at_level(judged.predictions, "study", score)
        samples[score] = sample_of(units, "study", judged.points)
    predictions = judgements[MEAN].predictions
    not_given = constant_output(predictions) or samples[MEAN].no_ground()
    # One call, so that all scores share the draws.
    drawn = None if not_given else bootstrap(list(samples.values()), seed=seed, draws=draws)
    rows = []
    for number, (score, sample) in enumerate(samples.items()):
        row: dict[str, Any] = {"study_score": score, "count": len(sample.labels)}
        row["images"] = len(predictions)
        intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(_GIVEN)
        row |= dict.fromkeys(_GIVEN)
        if drawn is not None:
            figures = sample.figures()
            for name in _GIVEN:
                bounds = interval(drawn[number][name])
                if bounds is None or not np.isfinite(figures[name][0]):
                    continue
                row[name] = float(figures[name][0])
                # If all draws are equal, they can't estimate the uncertainty of the figure.
                if bounds[0] < bounds[1]:
                    intervals[name] = bounds
        rows.append(row | {"intervals": intervals, "not_given": not_given})
    return rows
