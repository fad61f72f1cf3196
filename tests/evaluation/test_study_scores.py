"""How a study's probability comes from its images': each score by hand, and judged."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_mura
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from mura_core.data import LEVELS
from mura_core.evaluation import (
    STUDY_SCORES,
    at_level,
    compare_study_scores,
    judge,
    parse_rule,
    score_units,
)

PROBABILITIES = np.array([0.5, 0.2, 0.9, 0.5, 0.5])
UNIT = np.array([0, 1, 0, 2, 2])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("mean", [0.7, 0.2, 0.5]),
        ("max", [0.9, 0.2, 0.5]),
        ("noisy-or", [1 - 0.5 * 0.1, 0.2, 0.75]),
    ],
)
def test_scores_by_hand(score, expected):
    np.testing.assert_allclose(score_units(PROBABILITIES, UNIT, score), expected, rtol=1e-15)


def test_noisy_or_keeps_small_probabilities_and_admits_certainty():
    # 1 - (1 - 1e-20)**2 is 0 in float64; the answer is 2e-20.
    small = score_units(np.array([1e-20, 1e-20]), np.array([0, 0]), "noisy-or")
    np.testing.assert_allclose(small, [2e-20], rtol=1e-12)
    sure = score_units(np.array([1.0, 0.3, 0.0, 0.0]), np.array([0, 0, 1, 1]), "noisy-or")
    assert sure.tolist() == [1.0, 0.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_scores_are_ordered_and_a_single_image_keeps_its_probability(probabilities):
    values = np.array(probabilities)
    unit = np.zeros(len(values), int)
    mean, highest, any_abnormal = (score_units(values, unit, score)[0] for score in STUDY_SCORES)
    assert mean <= highest + 1e-12
    assert highest <= any_abnormal + 1e-12
    assert any_abnormal <= 1
    for score in STUDY_SCORES:
        assert score_units(values[:1], unit[:1], score)[0] == values[0]


def predictions(seed: int, images: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    patient = random.integers(0, images // 3, images)
    label = patient % 2
    logit = random.normal(size=images) + label
    return pd.DataFrame(
        {
            "path": [f"{seed}/{number:03}.png" for number in range(images)],
            "body_part": "HAND",
            "patient": patient.astype(str),
            "study": "study1",
            "label": label,
            "fold": 0,
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "part_rate": 0.5,
        }
    )


@pytest.mark.parametrize("score", STUDY_SCORES)
def test_the_operating_point_is_chosen_on_the_score_that_is_judged(score):
    tuning = predictions(1)
    judged = judge(predictions(0), tuning, parse_rule("sensitivity=0.9"), "none", score)
    for level in LEVELS:
        units = at_level(tuning, level, score)
        abnormal = units["probability"][units["label"] == 1]
        point = judged.points[level, 0].threshold
        assert point in set(units["probability"])
        assert np.mean(abnormal >= point) >= 0.9
        assert np.mean(abnormal > point) < 0.9


def test_every_score_is_judged():
    tables = predictions(0), predictions(1)
    rule = parse_rule("youden")
    judged = {score: judge(*tables, rule, "none", score) for score in STUDY_SCORES}
    rows = compare_study_scores(judged, seed=0, draws=200)
    assert [row.study_score for row in rows] == list(STUDY_SCORES)
    for row in rows:
        units = at_level(tables[0], "study", row.study_score)
        positive = units["probability"] >= judged[row.study_score].points["study", 0].threshold
        assert row.estimates["auroc"] == pytest.approx(
            peer.roc_auc_score(units["label"], units["probability"])
        )
        assert row.estimates["kappa"] == pytest.approx(
            peer.cohen_kappa_score(units["label"], positive)
        )
        assert row.estimates["accuracy"] == pytest.approx(
            peer.accuracy_score(units["label"], positive)
        )
        for name in ("auroc", "kappa", "accuracy"):
            low, high = row.intervals[name]
            assert low < row.estimates[name] < high
        assert (row.count, row.images, row.not_given) == (len(units), 120, None)
    assert len({row.estimates["auroc"] for row in rows}) == 3
    normal = tables[0].assign(label=0)
    rows = compare_study_scores({s: judge(normal, None, parse_rule("0.5"), "none", s)
                                 for s in STUDY_SCORES}, seed=0)  # fmt: skip
    assert {row.not_given for row in rows} == {"0 abnormal patients, 5 needed"}
    assert {row.estimates["auroc"] for row in rows} == {None}


def test_a_run_is_judged_by_its_study_score_and_beside_the_others(tmp_path: Path):
    data, run = write_mura(tmp_path / "data"), tmp_path / "run"
    result = mura_run(
        "train", "--data", data, "--out", run, "--size", "32", "--epochs", "1", "--seed", "5",
        "--study-score", "max",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "study_score: max" in (run / "config.yaml").read_text()

    def metrics() -> dict:
        return json.loads((run / "metrics.json").read_text())

    def accuracy(score: str) -> float:
        units = at_level(pd.read_csv(run / "predictions.csv"), "study", score)
        return np.mean((units["probability"] >= 0.5) == (units["label"] == 1))

    def judged() -> float:
        return next(
            row["accuracy"] for row in metrics()["figures"]
            if (row["level"], row["body_part"]) == ("study", "ALL")
        )  # fmt: skip

    assert metrics()["study_score"] == "max"
    assert judged() == pytest.approx(accuracy("max"))
    for row in metrics()["study_scores"]:
        assert row["accuracy"] == pytest.approx(accuracy(row["study_score"]))
    (used,) = [line for line in result.output.splitlines() if "used above" in line]
    assert used.strip().startswith("maximum of the images")
    assert "the highest probability of its images" in unescape((run / "report.html").read_text())
    again = mura_run("evaluate", run, "--study-score", "noisy-or")
    assert again.exit_code == 0, again.output
    assert metrics()["study_score"] == "noisy-or"
    assert judged() == pytest.approx(accuracy("noisy-or"))
    # Without a word: as it was judged before.
    assert mura_run("evaluate", run).exit_code == 0
    assert metrics()["study_score"] == "noisy-or"
    refused(2, "'median' is not one of 'mean', 'max', 'noisy-or'", "evaluate", run,
            "--study-score", "median")  # fmt: skip
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("study_score: max", "study_score: median"))
    (run / "metrics.json").unlink()
    refused(1, "study_score: 'median' is not one of mean, max, noisy-or", "evaluate", run)
