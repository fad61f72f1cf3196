"""The figures, against the 2019 report's own tables and scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from mura_core.metrics import at_level, evaluate, figures, from_confusion

# (TP, FP, TN, FN, accuracy as printed) of the report's tables.
REPORT_PER_IMAGE = {
    "elbow": (157, 57, 178, 73, 72.0),
    "finger": (150, 57, 157, 97, 66.6),
    "forearm": (71, 29, 121, 80, 63.8),
    "wrist": (169, 52, 312, 126, 73.0),
    "shoulder": (179, 71, 214, 99, 69.8),
    "humerus": (97, 46, 102, 43, 69.1),
    "humerus, conv3": (73, 41, 107, 67, 62.5),
}
REPORT_PER_PATIENT = {
    "elbow": (42, 12, 75, 23, 77.0),
    "finger": (55, 20, 63, 28, 71.1),
    "wrist": (49, 10, 103, 45, 73.4),
    "shoulder": (54, 19, 65, 35, 68.8),
    "humerus": (47, 13, 53, 19, 75.8),
    "humerus, conv3": (26, 12, 54, 40, 60.6),
}


@pytest.mark.parametrize("row", [*REPORT_PER_IMAGE.values(), *REPORT_PER_PATIENT.values()], ids=str)
def test_the_reports_counts_give_its_accuracies(row):
    *counts, printed = row
    assert round(100 * from_confusion(*counts)["accuracy"], 1) == pytest.approx(printed, abs=0.05)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60).filter(
        lambda rows: {label for label, _ in rows} == {0, 1}
    )
)
def test_figures_agree_with_scikit_learn(rows):
    labels = np.array([label for label, _ in rows])
    probabilities = np.array([probability for _, probability in rows])
    said = probabilities >= 0.5
    row = figures(labels, probabilities)
    matrix = peer.confusion_matrix(labels, said, labels=[0, 1])
    assert [
        [row["true_negatives"], row["false_positives"]],
        [row["false_negatives"], row["true_positives"]],
    ] == matrix.tolist()
    assert row["accuracy"] == pytest.approx(peer.accuracy_score(labels, said))
    assert row["sensitivity"] == pytest.approx(peer.recall_score(labels, said))
    assert row["specificity"] == pytest.approx(peer.recall_score(labels, said, pos_label=0))
    assert row["auroc"] == pytest.approx(peer.roc_auc_score(labels, probabilities))
    assert row["kappa"] == pytest.approx(peer.cohen_kappa_score(labels, said), abs=1e-12)


@pytest.fixture
def predictions() -> pd.DataFrame:
    # One patient with two elbow studies and a wrist study, and two others.
    rows = [
        ("a", "ELBOW", "p1", "s1", 0, 0.2),
        ("b", "ELBOW", "p1", "s1", 0, 0.6),
        ("c", "ELBOW", "p1", "s2", 1, 0.9),
        ("d", "WRIST", "p1", "s1", 0, 0.1),
        ("e", "ELBOW", "p2", "s1", 0, 0.3),
        ("f", "WRIST", "p3", "s1", 0, 0.8),
    ]
    return pd.DataFrame(
        rows, columns=["path", "body_part", "patient", "study", "label", "probability"]
    )


def test_levels_by_hand(predictions):
    studies = at_level(predictions, "study")
    assert studies["probability"].tolist() == pytest.approx([0.4, 0.9, 0.1, 0.3, 0.8])
    assert studies["label"].tolist() == [0, 1, 0, 0, 0]
    patients = at_level(predictions, "patient_within_part")
    # p1's elbow is abnormal since one of its studies is, at the mean of three images.
    assert patients["probability"].tolist() == pytest.approx([1.7 / 3, 0.1, 0.3, 0.8])
    assert patients["label"].tolist() == [1, 0, 0, 0]


def test_every_level_and_part_has_its_counts(predictions):
    rows = {(row["level"], row["body_part"]): row for row in evaluate(predictions)}
    assert len(rows) == 9
    assert rows["image", "ALL"]["count"] == 6
    assert rows["study", "ELBOW"]["count"] == 3
    assert rows["patient_within_part", "ALL"]["count"] == 4
    assert rows["study", "ALL"]["true_positives"] == 1
    assert rows["study", "ALL"]["false_positives"] == 1
    assert rows["image", "ALL"]["always_normal_accuracy"] == pytest.approx(5 / 6)


def test_a_part_of_one_class_gets_counts_and_no_figure(predictions):
    rows = {(row["level"], row["body_part"]): row for row in evaluate(predictions)}
    wrist = rows["study", "WRIST"]
    assert wrist["not_given"] == "0 abnormal and 2 normal"
    assert wrist["count"] == 2
    assert {wrist[name] for name in ("accuracy", "sensitivity", "auroc", "kappa")} == {None}


def test_the_order_of_images_changes_nothing(predictions):
    shuffled = predictions.sample(frac=1, random_state=1)
    assert evaluate(shuffled) == evaluate(predictions)
