"""Compare the study scores: ways to compute a study's probability from its images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mura_core.evaluation.bootstrap import DRAWS, bootstrap, interval
from mura_core.evaluation.choices import MEAN, STUDY_SCORES
from mura_core.evaluation.constant import constant_output
from mura_core.evaluation.judgement import Judgement
from mura_core.evaluation.results import Bounds, StudyScoreFigures
from mura_core.evaluation.sample import sample_of
from mura_core.evaluation.units import at_level

COMPARED = ("auroc", "kappa", "accuracy")
_GIVEN = (*COMPARED, "uncertain_share")


def compare_study_scores(
    judgements: Mapping[str, Judgement], *, seed: int, draws: int = DRAWS
) -> list[StudyScoreFigures]:
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
    list of StudyScoreFigures
        One for each score.
    """
    samples = {}
    for score in STUDY_SCORES:
        judged = judgements[score]
        units = at_level(judged.predictions, "study", score)
        samples[score] = sample_of(units, "study", judged.points)
    predictions = judgements[MEAN].predictions
    not_given = constant_output(predictions) or samples[MEAN].no_ground()
    # One call, so that all scores share the draws.
    drawn = [] if not_given else bootstrap(list(samples.values()), seed=seed, draws=draws)
    rows = []
    for number, (score, sample) in enumerate(samples.items()):
        estimates: dict[str, float | None] = dict.fromkeys(_GIVEN)
        intervals: dict[str, Bounds | None] = dict.fromkeys(_GIVEN)
        figures = sample.figures() if drawn else {}
        for name in _GIVEN if drawn else ():
            bounds = interval(drawn[number][name])
            if bounds is None or not np.isfinite(figures[name][0]):
                continue
            estimates[name] = float(figures[name][0])
            # If all draws are equal, they can't estimate the uncertainty of the figure.
            if bounds[0] < bounds[1]:
                intervals[name] = bounds
        counts = (len(sample.labels), len(predictions))
        rows.append(StudyScoreFigures(score, *counts, estimates, intervals, not_given))
    return rows
