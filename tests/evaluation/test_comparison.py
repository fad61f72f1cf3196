"""Two runs on the same images, against R's pROC, a published example, and hand-worked pairs."""

import numpy as np
import pandas as pd
import pytest
from data_sets import with_logits
from sklearn.metrics import roc_auc_score

from mura_core.data import LEVELS
from mura_core.errors import DataError
from mura_core.evaluation import FIGURES, Judgement, OperatingPoint, compare_judgements
from mura_core.evaluation.judgement import ChosenPoint, FoldJudgement
from mura_core.evaluation.significance import delong, mcnemar

# Of 43 patients: albumin, total protein, the K-G score, and whether surgery helped; the data of
# DeLong et al. 1988 as SAS prints them in its example "Comparing receiver operating characteristic
# curves".
PATIENTS = np.fromstring(
    """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
    1.6 5.6  5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
    4.3 7.0  4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
    3.0 4.7  8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
    3.2 5.1  5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
    3.5 6.2  5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
    3.6 6.6  5 1
    """,
    sep=" ",
).reshape(43, 4)
ALBUMIN, PROTEIN, SCORE = PATIENTS[:, 0], PATIENTS[:, 1], 10 - PATIENTS[:, 2]
HELPED = PATIENTS[:, 3] == 1


@pytest.mark.parametrize(
    ("first", "second", "areas", "z", "p"),
    [
        # R 4.2.2, pROC 1.18.0: roc.test(roc(...), roc(...), method = "delong"); its z is of the
        # first minus the second.
        (ALBUMIN, SCORE, (0.7365591398, 0.7258064516), 0.1127782690, 0.9102063472),
        (PROTEIN, SCORE, (0.6478494624, 0.7258064516), -0.7452183897, 0.4561397075),
        (ALBUMIN, PROTEIN, (0.7365591398, 0.6478494624), 1.5900292583, 0.1118282101),
    ],
)
def test_delong_is_procs(first, second, areas, z, p):
    result = delong(HELPED, first, second)
    assert (result.first, result.second) == pytest.approx(areas)
    assert -result.z == pytest.approx(z)
    assert result.p == pytest.approx(p)


def test_delong_of_one_and_the_same_curve():
    result = delong(HELPED, ALBUMIN, 2 * ALBUMIN)
    assert (result.z, result.p) == (0, 1)


def test_mcnemar_of_a_published_example():
    # Fagerland, Lydersen and Laake 2013, table 2 (airway hyper-responsiveness before and after
    # transplantation): 1, 1, 7 and 12 pairs; the exact conditional test gives 0.070.
    first = np.repeat([True, True, False, False], [1, 1, 7, 12])
    second = np.repeat([True, False, True, False], [1, 1, 7, 12])
    assert mcnemar(first, second) == pytest.approx(0.0703125)
    # R: binom.test(2, 11)$p.value
    first, second = np.repeat([True, False], [2, 9]), np.repeat([False, True], [2, 9])
    assert mcnemar(first, second) == pytest.approx(0.0654296875)
    assert mcnemar(first, first) == 1


def judgement(probability: np.ndarray, patients: int = 80) -> Judgement:
    """Two images of each of 80 patients, or one of each of 160."""
    count = len(probability)
    owners = np.arange(count) % patients
    table = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(count)],
            "body_part": np.where(owners % 3 == 0, "HAND", "WRIST"),
            "patient": owners.astype(str),
            "study": "study1",
            "label": owners % 2,
            "fold": 0,
            "probability": probability,
            "part_rate": 0.5,
        }
    )
    return Judgement(
        with_logits(table),
        {0: FoldJudgement(dict.fromkeys(LEVELS, ChosenPoint(OperatingPoint(0.5))))},
    )


def rows_of(first: Judgement, second: Judgement, **options):
    rows = compare_judgements(first, second, **({"seed": 1, "draws": 300} | options))
    return {(row.level, row.body_part): row for row in rows}


def noisy(seed: int, strength: float, patients: int = 80, images: int = 160) -> Judgement:
    label = np.arange(images) % patients % 2
    logit = strength * (label - 0.5) + np.random.default_rng(seed).normal(size=images)
    return judgement(1 / (1 + np.exp(-logit)), patients)


def test_a_run_does_not_differ_from_itself():
    rows = rows_of(noisy(0, 1.0), noisy(0, 1.0))
    for row in rows.values():
        assert row.figures["uncertain_share"] is None  # with one operating point
        for name in set(FIGURES) - {"uncertain_share"}:
            assert row.figures[name].difference == 0
            assert row.figures[name].interval is None  # no draw differs
    assert rows["patient", "ALL"].delong == rows["patient", "ALL"].mcnemar == 1


def test_differences_are_of_pairs():
    weak, strong = noisy(0, 1.0), noisy(0, 1.6)
    row = rows_of(weak, strong)["image", "ALL"]
    auroc = row.figures["auroc"]
    for name, run in (("first", weak), ("second", strong)):
        table = run.predictions
        assert getattr(auroc, name) == pytest.approx(
            roc_auc_score(table["label"], table["probability"])
        )
    assert auroc.difference == pytest.approx(auroc.second - auroc.first)
    low, high = auroc.interval
    assert 0 < low < auroc.difference < high
    # The same noise is in both, and cancels out; other noise doesn't.
    unpaired = rows_of(weak, noisy(5, 1.6))["image", "ALL"].figures["auroc"].interval
    assert high - low < 0.6 * (unpaired[1] - unpaired[0])


def test_p_values_are_given_where_units_are_independent():
    rows = rows_of(noisy(0, 1.0), noisy(1, 1.6))
    assert rows["image", "ALL"].delong is None
    assert rows["image", "ALL"].mcnemar is None
    one, other = (run.predictions for run in (noisy(0, 1.0), noisy(1, 1.6)))
    by_patient = [table.groupby("patient")["probability"].mean() for table in (one, other)]
    labels = one.groupby("patient")["label"].max() == 1
    expected = delong(labels.to_numpy(), *(scores.to_numpy() for scores in by_patient))
    assert rows["patient", "ALL"].delong == pytest.approx(expected.p)
    single = rows_of(noisy(0, 1.0, 160), noisy(1, 1.6, 160))
    assert 0 < single["image", "ALL"].mcnemar < 1
    assert single["patient_within_part", "HAND"].delong is not None


def test_the_bootstrap_and_delong_agree_on_how_sure_a_difference_is():
    first, second = noisy(0, 1.0, 160), noisy(1, 1.6, 160)
    row = rows_of(first, second, draws=2000)["image", "ALL"].figures["auroc"]
    tables = first.predictions, second.predictions
    labels = (tables[0]["label"] == 1).to_numpy()
    test = delong(labels, *(table["probability"].to_numpy() for table in tables))
    low, high = row.interval
    assert (high - low) / (2 * 1.96) == pytest.approx(test.standard_error, rel=0.1)


def test_runs_on_other_images_or_labels_are_refused():
    first, second = noisy(0, 1.0), noisy(1, 1.0)
    fewer = Judgement(second.predictions.iloc[1:], second.folds)
    with pytest.raises(DataError, match=r"1 only in the first, 0 only in the second.* 0\.png"):
        compare_judgements(first, fewer, seed=0)
    table = second.predictions
    relabelled = table.assign(label=table["label"].where(table["path"] != "3.png", 0))
    with pytest.raises(DataError, match=r"different labels, .* for 1 images, such as 3\.png"):
        compare_judgements(first, Judgement(relabelled, second.folds), seed=0)
