"""Operating points and calibrations, and that the images judged have no say in them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from mura_core.data import LEVELS
from mura_core.errors import DataError, UsageError
from mura_core.evaluation import OperatingPoint, judge, parse_rule
from mura_core.evaluation.calibration import fit_calibration
from mura_core.evaluation.operating_point import choose_point
from mura_core.report import how_called
from mura_core.runs import Bootstrap, LevelPoint, Metrics

# Ten units by rising probability, from 0.05 to 0.95.
LABELS = np.array([0, 0, 0, 1, 0, 0, 1, 1, 0, 1])
PROBABILITIES = np.arange(10) / 10 + 0.05


@pytest.mark.parametrize(
    ("rule", "point"),
    [
        ("0.5", 0.5),
        ("0.3", 0.3),
        # From 0.65 up: 3 of 4 abnormal ones, and 1 of 6 normal ones.
        ("youden", 0.65),
        ("sensitivity=0.75", 0.65),
        ("sensitivity=0.76", 0.35),
        ("specificity=0.8", 0.65),
        ("specificity=0.5", 0.35),
        # With one normal unit more it would be 5 of 6.
        ("specificity=0.83", 0.65),
        ("specificity=0.84", 0.95),
    ],
)
def test_points_by_hand(rule, point):
    chosen = choose_point(parse_rule(rule), LABELS, PROBABILITIES)
    assert chosen.threshold == pytest.approx(point)
    assert chosen.normal_below is None


def test_a_specificity_may_lie_above_all():
    point = choose_point(parse_rule("specificity=0.99"), LABELS[::-1], PROBABILITIES)
    assert point.threshold > PROBABILITIES.max()


def test_what_is_asked_for_is_reached_and_no_better_point_is_passed_over():
    random = np.random.default_rng(0)
    for _ in range(50):
        labels = random.integers(0, 2, 60)
        probabilities = np.round(random.random(60), 2)  # with ties
        for kind, label in (("sensitivity", 1), ("specificity", 0)):
            point = choose_point(parse_rule(f"{kind}=0.9"), labels, probabilities).threshold
            rate = recall_score(labels, probabilities >= point, pos_label=label)
            assert rate >= 0.9
            next_point = (
                probabilities[probabilities > point].min(initial=2)
                if kind == "sensitivity"
                else probabilities[probabilities < point].max(initial=-1)
            )
            nearer = recall_score(labels, probabilities >= next_point, pos_label=label)
            assert nearer < 0.9


@pytest.mark.parametrize(
    "text", ["0", "1", "2", "-0.1", "nan", "best", "youden=1", "sensitivity", "sensitivity=95",
             "sensitivity=", "accuracy=0.9", "=0.5", "", "0.7,0.3", "0.5,0.5", "0.3,youden",
             "specificity=0.9,sensitivity=0.9", "0.3,specificity=0.9", "0.2,0.3,0.4", "0.3,"],
)  # fmt: skip
def test_other_rules_are_refused(text):
    with pytest.raises(UsageError, match="is not a probability such as"):
        parse_rule(text)


# Two points -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        ("0.3,0.7", 0.3, 0.7),
        # From 0.35 up are all abnormal ones; from 0.95 up no normal one.
        ("sensitivity=0.9,specificity=0.9", 0.35, 0.95),
        # From 0.65 up are 3 of 4 abnormal ones, and 1 of 6 normal ones: the two meet.
        ("sensitivity=0.75,specificity=0.8", 0.65, 0.65),
        # From 0.75 up are half of the abnormal ones, from 0.35 up half of the normal ones: they
        # cross, and the middle reaches both.
        ("sensitivity=0.5,specificity=0.5", 0.55, 0.55),
    ],
)
def test_two_points_by_hand(rule, low, high):
    chosen = choose_point(parse_rule(rule), LABELS, PROBABILITIES)
    assert chosen.normal_below == pytest.approx(low)
    assert chosen.threshold == pytest.approx(high)


def test_two_points_reach_what_is_asked_for_on_each_side():
    random = np.random.default_rng(0)
    rule = parse_rule("sensitivity=0.9,specificity=0.8")
    crossed = 0
    for number in range(60):
        labels = random.integers(0, 2, 60)
        probabilities = np.round((random.random(60) + number / 30 * labels) / 3, 2)
        point = choose_point(rule, labels, probabilities)
        verdicts = point.verdicts(probabilities)
        assert np.mean(verdicts[labels == 1] != "normal") >= 0.9
        assert np.mean(verdicts[labels == 0] != "abnormal") >= 0.8
        crossed += point.normal_below == point.threshold
    assert 0 < crossed < 60


def test_a_verdict_is_normal_below_abnormal_from_and_uncertain_between():
    point = OperatingPoint(0.7, normal_below=0.3)
    verdicts = point.verdicts(np.array([0.0, 0.29, 0.3, 0.69, 0.7, 1.0]))
    assert verdicts.tolist() == ["normal"] * 2 + ["uncertain"] * 2 + ["abnormal"] * 2
    one = OperatingPoint(0.5).verdicts(np.array([0.49, 0.5]))
    assert one.tolist() == ["normal", "abnormal"]


def test_the_console_says_between_which_points_units_are_uncertain():
    def said(*points: tuple[float | None, float]) -> str:
        chosen = [LevelPoint("image", 0, high, low, 9, 3) for low, high in points]
        metrics = Metrics(
            validate="kfold",
            operating_point="the rule",
            calibrate="none",
            study_score="mean",
            operating_points=tuple(chosen),
            temperatures={},
            intervals=Bootstrap("", 0.95, 0, 0),
            figures=(),
            study_scores=(),
        )
        return how_called(metrics, "image")

    start, end = "abnormal at a probability of", "by the rule on the other folds"
    assert said((None, 0.5)) == f"{start} 0.5 or more, {end}"
    assert said((0.3, 0.7), (0.2, 0.7)) == (
        f"{start} 0.7 or more, normal below 0.2 to 0.3, uncertain between, {end}"
    )
    # The two have met: nothing is uncertain.
    assert said((0.6, 0.6)) == f"{start} 0.6 or more, {end}"


# Calibration ------------------------------------------------------------------------------------


def overconfident(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(size=count) * 2
    labels = (random.random(count) < 1 / (1 + np.exp(-logits))).astype(int)
    return 3 * logits, labels


def test_temperature_is_found_and_is_scikit_learns():
    logits, labels = overconfident(0)
    calibrated, temperature = fit_calibration("temperature", logits, labels)
    assert temperature == pytest.approx(3, rel=0.1)
    # A logistic regression whose decision function is the logit itself.
    identity = LogisticRegression()
    identity.classes_, identity.n_features_in_ = np.array([0, 1]), 1
    identity.coef_, identity.intercept_ = np.array([[1.0]]), np.array([0.0])
    peer = CalibratedClassifierCV(FrozenEstimator(identity), method="temperature", ensemble=False)
    peer.fit(logits[:, None], labels)
    expected = peer.predict_proba(logits[:, None])[:, 1]
    np.testing.assert_allclose(calibrated(logits), expected, atol=1e-3)


def test_isotonic_never_turns_an_order_round():
    logits, labels = overconfident(1)
    calibrated, _ = fit_calibration("isotonic", logits, labels)
    new = np.linspace(-30, 30, 500)
    assert (np.diff(calibrated(new)) >= 0).all()
    assert calibrated(new).min() >= 0
    assert calibrated(new).max() <= 1
    peer = IsotonicRegression(out_of_bounds="clip").fit(logits, labels)
    np.testing.assert_allclose(calibrated(new), peer.predict(new))


# The images judged have no say --------------------------------------------------------------------


def predictions(seed: int, folds: int = 1, images: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, images)
    logit = random.normal(size=images) + label
    patient = random.integers(0, images // 3, images)
    return pd.DataFrame(
        {
            "path": [f"{seed}/{number}.png" for number in range(images)],
            "body_part": random.choice(["HAND", "WRIST"], images),
            "patient": [f"{seed}-{number}" for number in patient],
            "study": "study1",
            "label": label,
            "fold": patient % folds + 1 if folds > 1 else 0,
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "part_rate": 0.5,
        }
    )


@pytest.mark.parametrize("calibrate", ["none", "temperature", "isotonic"])
def test_a_fold_has_no_say_in_how_it_is_judged(calibrate):
    table = predictions(0, folds=3)
    rule = parse_rule("youden")
    before = judge(table, None, rule, calibrate)
    own = table["fold"] == 2
    turned = table.assign(label=np.where(own, 1 - table["label"], table["label"]))
    after = judge(turned, None, rule, calibrate)
    for level in LEVELS:
        assert after.points[level, 2] == before.points[level, 2]
        assert after.points[level, 1] != before.points[level, 1]
    pd.testing.assert_series_equal(
        after.predictions["probability"][own], before.predictions["probability"][own]
    )


@pytest.mark.parametrize("calibrate", ["none", "temperature", "isotonic"])
def test_held_out_training_patients_alone_decide(calibrate):
    table, tuning = predictions(0), predictions(1)
    rule = parse_rule("sensitivity=0.9")
    before = judge(table, tuning, rule, calibrate)
    after = judge(table.assign(label=1 - table["label"]), tuning, rule, calibrate)
    assert after.points == before.points
    np.testing.assert_array_equal(
        after.predictions["probability"], before.predictions["probability"]
    )
    assert before.folds[0].points["image"].count == len(tuning)
    assert before.predictions["path"].tolist() == table["path"].tolist()
    # Each level has its own: a mean is nearer to one half than what it is the mean of.
    assert len({before.points[level, 0] for level in LEVELS}) > 1


def test_with_nothing_to_choose_by_there_is_nothing_chosen():
    table = predictions(0)
    fixed = judge(table, None, parse_rule("0.5"), "none")
    assert set(fixed.points.values()) == {OperatingPoint(0.5)}
    pd.testing.assert_frame_equal(fixed.predictions, table)
    with pytest.raises(DataError, match="no training patients were held out"):
        judge(table, None, parse_rule("youden"), "none")
    with pytest.raises(DataError, match="units by image have the same label"):
        judge(table, table[table["label"] == 1], parse_rule("0.5"), "isotonic")
    # Every patient has an abnormal image: by patient there's nothing to tell apart.
    few = table.head(4).assign(label=[0, 1, 0, 1], patient=["a", "a", "b", "b"])
    with pytest.raises(DataError, match="all 2 units by patient have the same label"):
        judge(table, few.assign(body_part=list("xyxy")), parse_rule("youden"), "none")
    with pytest.raises(UsageError, match="'platt' is not one of none, temperature, isotonic"):
        judge(table, table, parse_rule("0.5"), "platt")
