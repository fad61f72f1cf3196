"""The figures, against the 2019 report's own tables, scikit-learn's, and worked examples."""

import numpy as np
import pandas as pd
import pytest
from data_sets import with_logits
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration
from sklearn import metrics as peer

from mura_core.data import LEVELS
from mura_core.evaluation import (
    FIGURES,
    OperatingPoint,
    at_level,
    compute_figures,
    figures_of_folds,
    sample,
    spread_over,
)
from mura_core.evaluation.metrics import Confusion, Figure
from mura_core.evaluation.results import Lead, Spread
from mura_core.evaluation.sample import Sample
from mura_core.report import figures_as_text, verdicts

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
REPORT = [*REPORT_PER_IMAGE.values(), *REPORT_PER_PATIENT.values()]
AT_HALF = dict.fromkeys(((level, 0) for level in LEVELS), OperatingPoint(0.5))
FEW = {"seed": 1, "draws": 50}


def by_level_and_part(predictions, points=AT_HALF, **options):
    rows = compute_figures(with_logits(predictions), points, **(FEW | options))
    return {(row.level, row.body_part): row for row in rows}


def random_predictions(seed: int, images: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(images)],
            "body_part": random.choice(["ELBOW", "HAND", "WRIST"], images),
            "patient": random.integers(0, images // 4, images).astype(str),
            "study": random.integers(0, 2, images).astype(str),
            "fold": 0,
            "probability": random.random(images),
            "part_rate": 0.5,
        }
    )
    return table.assign(label=(random.random(images) < table["probability"]).astype(int))


# Figures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", REPORT, ids=str)
def test_the_reports_counts_give_its_accuracies(row):
    *counts, printed = row
    assert round(100 * Confusion(*counts).accuracy, 1) == pytest.approx(printed, abs=0.05)


@pytest.mark.parametrize("row", REPORT, ids=str)
def test_predictions_with_the_reports_counts_give_its_accuracies(row):
    true_positives, false_positives, true_negatives, false_negatives, printed = row
    counts = [true_positives, false_positives, true_negatives, false_negatives]
    predictions = pd.DataFrame(
        {
            "label": np.repeat([1, 0, 0, 1], counts),
            "probability": np.repeat([0.5, 0.9, 0.49, 0.1], counts),
            "body_part": "XR",
            "study": "study1",
            "fold": 0,
            "part_rate": 0.4,
        }
    )
    names = [f"{number}" for number in range(sum(counts))]
    for row_of_level in by_level_and_part(predictions.assign(path=names, patient=names)).values():
        assert round(100 * row_of_level.estimates["accuracy"], 1) == pytest.approx(
            printed, abs=0.05
        )
        confusion = ("true_positives", "false_positives", "true_negatives", "false_negatives")
        assert [getattr(row_of_level.counts, name) for name in confusion] == counts


# Two labels at least of each, probabilities that tie, and how often each is drawn.
WEIGHTED = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=60,
).filter(lambda rows: all(sum(w for y, _, w in rows if y == label) for label in (0, 1)))


@settings(deadline=None)
@given(WEIGHTED)
def test_weighted_figures_are_scikit_learns(rows):
    labels, probabilities, weights = (np.array(column) for column in zip(*rows, strict=True))
    said = probabilities >= 0.5
    sample = Sample(labels == 1, probabilities, said)
    # Weights of all draws are computed at once: one of these is of ones.
    drawn = sample.figures(np.stack([np.ones(len(rows)), weights.astype(float)]))
    for draw, weight in enumerate((np.ones(len(rows)), weights)):
        how = {"sample_weight": weight}
        expected = {
            "accuracy": peer.accuracy_score(labels, said, **how),
            "balanced_accuracy": peer.balanced_accuracy_score(labels, said, **how),
            "sensitivity": peer.recall_score(labels, said, **how),
            "specificity": peer.recall_score(labels, said, pos_label=0, **how),
            "ppv": peer.precision_score(labels, said, zero_division=np.nan, **how),
            "npv": peer.precision_score(labels, said, pos_label=0, zero_division=np.nan, **how),
            "f1": peer.f1_score(labels, said, **how),
            "auroc": peer.roc_auc_score(labels, probabilities, **how),
            "average_precision": peer.average_precision_score(labels, probabilities, **how),
            "kappa": peer.cohen_kappa_score(labels, said, **how),
            "brier": peer.brier_score_loss(labels, probabilities, **how),
        }
        for name, value in expected.items():
            assert drawn[name][draw] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60).filter(
        # On an edge between bins scikit-learn and we take different sides.
        lambda rows: all(abs(10 * p - round(10 * p)) > 1e-9 for _, p in rows)
    )
)
def test_calibration_error_is_the_gap_of_scikit_learns_curve(rows):
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    rate, mean = calibration.calibration_curve(labels, probabilities, n_bins=10)
    counts = np.histogram(probabilities, bins=10, range=(0, 1))[0]
    expected = np.sum(np.abs(rate - mean) * counts[counts > 0]) / len(rows)
    sample = Sample(labels == 1, probabilities, probabilities >= 0.5)
    assert sample.figures()["calibration_error"][0] == pytest.approx(expected)


def test_calibration_error_of_a_published_example(monkeypatch):
    # Pavlovic, "Understanding model calibration", arXiv 2501.19047: nine confidences, whether each
    # was right, five bins; the result is printed there as 0.10444.
    monkeypatch.setattr(sample, "CALIBRATION_BINS", 5)
    confidence = np.array([0.78, 0.64, 0.92, 0.58, 0.51, 0.85, 0.70, 0.63, 0.83])
    right = np.array([1, 1, 0, 1, 0, 1, 1, 0, 1]) == 1
    figures = Sample(right, confidence, confidence >= 0.5).figures()
    assert figures["calibration_error"][0] == pytest.approx(0.10444, abs=5e-6)


def test_a_perfect_and_a_useless_classifier():
    labels = np.arange(40) % 2 == 1
    perfect = Sample(labels, labels.astype(float), labels).figures()
    wrong = ("brier", "calibration_error")
    for name in set(FIGURES) - {"uncertain_share"}:  # which one operating point doesn't have
        assert perfect[name][0] == (0.0 if name in wrong else 1.0)
    useless = Sample(labels, np.full(40, 0.5), np.zeros(40, bool)).figures()
    assert useless["auroc"][0] == 0.5
    assert useless["kappa"][0] == 0
    assert useless["average_precision"][0] == 0.5
    assert useless["balanced_accuracy"][0] == 0.5
    assert np.isnan(useless["ppv"][0])  # nothing was called abnormal


# Levels -----------------------------------------------------------------------------------------


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
    columns = ["path", "body_part", "patient", "study", "label", "probability"]
    return pd.DataFrame(rows, columns=columns).assign(fold=0, part_rate=0.25)


def test_levels_by_hand(predictions):
    studies = at_level(predictions, "study")
    assert studies["probability"].tolist() == pytest.approx([0.4, 0.9, 0.3, 0.1, 0.8])
    assert studies["label"].tolist() == [0, 1, 0, 0, 0]
    within = at_level(predictions, "patient_within_part")
    # p1's elbow is abnormal since one of its studies is, at the mean of three images.
    assert within["probability"].tolist() == pytest.approx([1.7 / 3, 0.3, 0.1, 0.8])
    assert within["label"].tolist() == [1, 0, 0, 0]
    patients = at_level(predictions, "patient")
    assert patients["probability"].tolist() == pytest.approx([0.45, 0.3, 0.8])
    assert patients["label"].tolist() == [1, 0, 0]


def test_every_level_and_part_has_its_counts(predictions):
    rows = by_level_and_part(predictions)
    # A person isn't of one part: the level has ALL alone, even where all have one in common.
    assert [key for key in rows if key[0] == "patient"] == [("patient", "ALL")]
    two_people = by_level_and_part(predictions[predictions["patient"] != "p3"])
    assert ("patient", "ALL") in two_people
    assert ("patient", "ELBOW") not in two_people
    assert len(rows) == 10
    counts = {
        (level, "ALL"): rows[level, "ALL"].counts.count
        for level in ("image", "study", "patient_within_part", "patient")
    }
    assert list(counts.values()) == [6, 5, 4, 3]
    assert rows["study", "ELBOW"].counts.count == 3
    assert rows["study", "ELBOW"].counts.patients == 2
    assert rows["study", "ALL"].counts.true_positives == 1
    assert rows["study", "ALL"].counts.false_positives == 1


def test_without_ground_there_are_counts_and_no_figure(predictions):
    rows = by_level_and_part(predictions)
    wrist = rows["study", "WRIST"]
    assert wrist.not_given == "0 abnormal patients, 5 needed"
    assert wrist.counts.count == 2
    assert set(wrist.estimates.values()) == {None}
    assert rows["study", "ALL"].not_given == "1 abnormal patient, 5 needed"
    # Three abnormal images of one person are one person's.
    both = predictions.assign(label=[1, 1, 1, 0, 0, 0])
    reason = by_level_and_part(both)["image", "ALL"].not_given
    assert reason == "1 abnormal patient, 5 needed"


@pytest.mark.parametrize(("abnormal", "normal"), [(5, 5), (5, 40), (40, 5), (4, 40), (40, 4)])
def test_every_figure_has_an_interval_or_five_patients_are_missing(abnormal, normal):
    labels = np.repeat([1, 0], [abnormal, normal])
    random = np.random.default_rng(abnormal)
    table = random_predictions(0, len(labels)).assign(
        label=labels,
        patient=np.arange(len(labels)).astype(str),
        probability=0.4 * labels + 0.6 * random.random(len(labels)),
    )
    for row in compute_figures(with_logits(table), AT_HALF, seed=1):
        given = {name for name in FIGURES if row.estimates[name] is not None}
        if min(row.counts.abnormal, row.counts.normal) < 5:
            assert not given
            assert row.not_given.endswith("needed")
        else:
            # Where all draws agree, such as on a sensitivity of 1, there's none.
            given = {name for name in given if 0 < row.estimates[name] < 1}
            assert {name for name in given if not row.intervals[name]} == {"calibration_error"}


def test_a_figure_is_added_by_itself(monkeypatch):
    """A further figure's number, interval and column come from its declaration alone."""
    youden = Figure(
        "Youden's index",
        lambda t: t.confusion.sensitivity + t.confusion.specificity - 1,
        is_headline=True,
    )
    monkeypatch.setitem(FIGURES, "youden", youden)
    [row, *_] = evaluated = compute_figures(with_logits(random_predictions(3)), AT_HALF, **FEW)
    assert row.estimates["youden"] == pytest.approx(
        row.estimates["sensitivity"] + row.estimates["specificity"] - 1
    )
    low, high = row.intervals["youden"]
    assert low < row.estimates["youden"] < high
    assert "Youden's index" in figures_as_text(evaluated)


def test_a_predictive_value_of_two_verdicts_is_not_given():
    # Two of 100 normal and none of 10 abnormal images are called abnormal: one draw in seven has
    # neither of the two, and their share of abnormal ones is nobody's percentage.
    labels = np.repeat([1, 0], [10, 100])
    table = random_predictions(0, 110).assign(
        label=labels,
        body_part="HAND",
        patient=np.arange(110).astype(str),
        probability=np.where(np.arange(110) >= 108, 0.9, 0.1 + 0.001 * np.arange(110)),
    )
    row = by_level_and_part(table)["image", "HAND"]
    assert row.counts.true_positives + row.counts.false_positives == 2
    assert row.estimates["ppv"] is None
    assert row.estimates["npv"] is not None


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_order_of_images_changes_nothing(seed):
    table = random_predictions(seed, images=40)
    shuffled = table.sample(frac=1, random_state=seed)
    one, other = (compute_figures(with_logits(some), AT_HALF, **FEW) for some in (shuffled, table))
    assert one == other


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_a_study_whose_images_are_all_there_twice_is_the_same_study(seed):
    table = random_predictions(seed, images=40)
    twice = pd.concat([table, table.assign(path="copy of " + table["path"])])
    for level in ("study", "patient_within_part", "patient"):
        pd.testing.assert_frame_equal(at_level(twice, level), at_level(table, level))
    # One image twice moves its study's mean, and neither its label nor any count.
    again = pd.concat([table, table.iloc[:1].assign(path="another")])
    once, repeated = (by_level_and_part(some)["study", "ALL"] for some in (table, again))
    for name in ("count", "abnormal", "normal", "patients"):
        assert getattr(once.counts, name) == getattr(repeated.counts, name)


# Two operating points ---------------------------------------------------------------------------

ZONE = dict.fromkeys(((level, 0) for level in LEVELS), OperatingPoint(0.7, normal_below=0.3))


def test_figures_are_of_decided_units_by_hand():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)
    probabilities = np.array([0.9, 0.8, 0.2, 0.1, 0.75, 0.0, 0.5, 0.5])
    decided = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    figures = Sample(labels, probabilities, probabilities >= 0.7, None, decided).figures()
    given = {name: figure[0] for name, figure in figures.items()}
    # TP 2, FN 1, TN 2, FP 1 of six; two of eight are uncertain.
    assert given["accuracy"] == pytest.approx(4 / 6)
    assert given["sensitivity"] == given["specificity"] == pytest.approx(2 / 3)
    assert given["uncertain_share"] == pytest.approx(2 / 8)
    # Probabilities are all judged, uncertain or not.
    assert given["auroc"] == pytest.approx(peer.roc_auc_score(labels, probabilities))
    assert given["brier"] == pytest.approx(peer.brier_score_loss(labels, probabilities))
    assert np.isnan(Sample(labels, probabilities, decided).figures()["uncertain_share"][0])


def test_uncertain_units_are_counted_at_every_level_and_have_an_interval():
    table = random_predictions(0)
    rows = by_level_and_part(table, ZONE, draws=200)
    for level in LEVELS:
        units = at_level(table, level)
        uncertain = units["probability"].between(0.3, 0.7, inclusive="left")
        row = rows[level, "ALL"]
        assert row.counts.uncertain == uncertain.sum() > 0
        assert row.estimates["uncertain_share"] == pytest.approx(uncertain.mean())
        low, high = row.intervals["uncertain_share"]
        assert low < row.estimates["uncertain_share"] < high
        own = units[~uncertain]
        assert row.estimates["accuracy"] == pytest.approx(
            peer.accuracy_score(own["label"], own["probability"] >= 0.5)
        )
        normal = row.baselines["always_normal"]
        assert normal.estimates["accuracy"] == pytest.approx(np.mean(own["label"] == 0))
    assert by_level_and_part(table)["image", "ALL"].estimates["uncertain_share"] is None


def test_where_nothing_is_decided_there_is_no_accuracy():
    table = random_predictions(0).assign(probability=np.linspace(0.4, 0.6, 200))
    points = dict.fromkeys(ZONE, OperatingPoint(0.9, normal_below=0.1))
    row = by_level_and_part(table, points)["image", "ALL"]
    assert row.estimates["accuracy"] is None
    assert row.estimates["uncertain_share"] == 1
    assert row.estimates["auroc"] is not None
    beaten = row.baselines["always_normal"].beaten_by["accuracy"]
    assert beaten == Lead(difference=None, interval=None, beats=False)
    assert all("accuracy" not in sentence for sentence in verdicts(row))


# Operating points and folds -----------------------------------------------------------------------


def test_each_fold_is_called_at_its_own_operating_point():
    labels = np.tile(np.repeat([0, 0, 1, 1], 5), 2)
    names = [f"{number:02}" for number in range(40)]
    predictions = pd.DataFrame(
        {
            "path": names,
            "body_part": "HAND",
            "patient": names,
            "study": "study1",
            "label": labels,
            "fold": np.repeat([1, 2], 20),
            "probability": np.repeat([0.1, 0.3, 0.2, 0.4, 0.6, 0.8, 0.7, 0.9], 5),
            "part_rate": 0.5,
        }
    )
    points = {
        (level, fold): OperatingPoint({1: 0.25, 2: 0.75}[fold])
        for level in LEVELS
        for fold in (1, 2)
    }
    row = by_level_and_part(predictions, points)["image", "HAND"]
    assert (row.counts.true_positives, row.counts.false_positives) == (10, 10)
    folds = figures_of_folds(with_logits(predictions), points)
    first = next(fold for fold in folds if (fold.level, fold.repeat) == ("image", 1))
    assert first.counts.count == 20
    assert first.estimates["auroc"] == 0.75
    # Pooled, a fold that gives higher probabilities ranks its images above the other's.
    assert row.estimates["auroc"] == pytest.approx(10 / 16)
    image = next(summary for summary in spread_over(folds) if summary.level == "image")
    assert image.spreads["auroc"] == Spread(0.75, 0.0, 2)


def test_a_network_that_knows_the_part_alone_does_not_beat_it():
    table = random_predictions(3, images=600)
    rate = table["body_part"].map({"ELBOW": 0.1, "HAND": 0.4, "WRIST": 0.8})
    random = np.random.default_rng(0)
    table = table.assign(
        part_rate=rate, probability=rate, label=(random.random(600) < rate).astype(int)
    )
    row = by_level_and_part(table, draws=400)["image", "ALL"]
    part_alone = row.baselines["body_part_alone"]
    assert part_alone.estimates["accuracy"] == pytest.approx(row.estimates["accuracy"])
    assert part_alone.estimates["auroc"] == pytest.approx(row.estimates["auroc"])
    for figure in ("accuracy", "auroc"):
        assert not part_alone.beaten_by[figure].beats
        assert part_alone.beaten_by[figure].difference == 0
    always_normal = row.baselines["always_normal"]
    assert always_normal.estimates["accuracy"] == pytest.approx(1 - table["label"].mean())
    assert always_normal.estimates["auroc"] == 0.5
    assert always_normal.beaten_by["auroc"].beats
    # Within a part it knows nothing.
    hand = by_level_and_part(table, draws=400)["image", "HAND"]
    assert not hand.baselines["always_normal"].beaten_by["auroc"].beats
