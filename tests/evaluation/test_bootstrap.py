"""Intervals: what a draw is, what they cover, and what they cost."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from child_memory import PEAK_KIBIBYTES
from data_sets import with_logits
from sklearn import metrics as peer

from mura_core.data import LEVELS
from mura_core.evaluation import FIGURES, OperatingPoint, interval
from mura_core.evaluation import figures as evaluation
from mura_core.evaluation.bootstrap import bootstrap
from mura_core.evaluation.sample import Sample


def clustered(random: np.random.Generator, patients: int) -> Sample:
    """Patients with one to four images each, that resemble one another."""
    patient = np.repeat(np.arange(patients), random.integers(1, 5, patients))
    label = (random.random(patients) < 0.4)[patient]
    resemblance = random.normal(size=patients)[patient]
    logit = 1.5 * label - 0.75 + resemblance + 0.7 * random.normal(size=len(patient))
    return Sample(label, 1 / (1 + np.exp(-logit)), logit >= 0, patient)


def test_draws_are_those_of_drawing_patients_one_by_one():
    sample = clustered(np.random.default_rng(1), 150)
    (drawn,) = bootstrap([sample], seed=4, draws=2000)
    random = np.random.default_rng(8)
    of_patient = [np.flatnonzero(sample.patients == patient) for patient in range(150)]
    singly = []
    for _ in range(2000):
        units = np.concatenate([of_patient[patient] for patient in random.integers(0, 150, 150)])
        labels, probabilities = sample.labels[units], sample.probabilities[units]
        singly.append(
            (
                peer.roc_auc_score(labels, probabilities),
                peer.average_precision_score(labels, probabilities),
                np.mean((probabilities >= 0.5) == labels),
            )
        )
    for name, peers in zip(
        ("auroc", "average_precision", "accuracy"), np.transpose(singly), strict=True
    ):
        ours = drawn[name]
        assert ours.mean() == pytest.approx(peers.mean(), abs=0.002), name
        assert ours.std() == pytest.approx(peers.std(), rel=0.06), name


def test_draws_depend_on_the_seed_and_are_shared():
    samples = [clustered(np.random.default_rng(number), 60) for number in (1, 2)]
    alone = bootstrap(samples[:1], seed=3, draws=200)[0]
    np.testing.assert_equal(bootstrap(samples[:1], seed=3, draws=200)[0], alone)
    together = bootstrap(samples, seed=3, draws=200)
    np.testing.assert_equal(together[0], alone)
    other = bootstrap(samples[:1], seed=4, draws=200)[0]
    assert not np.array_equal(other["auroc"], alone["auroc"])
    # The same draws for both, so that a difference is of pairs: a sample's from itself is none.
    same = bootstrap([samples[0], samples[0]], seed=3, draws=200)
    np.testing.assert_equal(same[0], same[1])


def test_images_of_one_patient_are_not_taken_for_many():
    # The same images, once with a patient each, and once with ten images a patient alike.
    random = np.random.default_rng(0)
    label, logit = random.random(30) < 0.5, random.normal(size=30)
    labels, logits = np.repeat(label, 10), np.repeat(logit, 10)
    patients = np.repeat(np.arange(30), 10)
    width = []
    for owners in (patients, np.arange(300)):
        sample = Sample(labels, 1 / (1 + np.exp(-logits)), logits >= 0, owners)
        low, high = interval(bootstrap([sample], seed=0)[0]["accuracy"])
        width.append(high - low)
    assert width[0] / width[1] == pytest.approx(np.sqrt(10), rel=0.1)


def test_there_is_no_interval_without_ground():
    assert interval(np.array([np.nan] * 6 + [0.5] * 94)) is None
    assert interval(np.array([np.nan] * 4 + [0.5] * 96)) == (0.5, 0.5)
    labels = np.arange(40) % 2
    perfect = pd.DataFrame(
        {
            "path": labels.cumsum() * 100 + np.arange(40),
            "body_part": "HAND",
            "patient": [str(number) for number in range(40)],
            "study": "study1",
            "label": labels,
            "fold": 0,
            "probability": labels * 0.8 + 0.1,
            "part_rate": 0.5,
        }
    )
    perfect = with_logits(perfect)
    row = evaluation.compute_figures(
        perfect, dict.fromkeys(((level, 0) for level in LEVELS), OperatingPoint(0.5)), seed=0
    )[0]
    assert row.estimates["auroc"] == row.estimates["sensitivity"] == 1
    assert row.intervals["auroc"] is None
    assert row.baselines["always_normal"].beaten_by["auroc"].beats
    # Two abnormal patients: one draw in seven has neither of them, and no sensitivity.
    few = perfect.assign(label=(np.arange(40) < 2).astype(int))
    row = evaluation.compute_figures(
        few, dict.fromkeys(((level, 0) for level in LEVELS), OperatingPoint(0.5)), seed=0
    )[0]
    assert row.not_given == "2 abnormal patients, 5 needed"
    assert row.estimates["sensitivity"] is row.intervals["sensitivity"] is None
    assert row.estimates["specificity"] is None


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say():
    random = np.random.default_rng(5)
    truth = {name: figure[0] for name, figure in clustered(random, 400_000).figures().items()}
    simulations = 1500
    # With one operating point nothing is uncertain, and no draw says how far from 0 that may be.
    names = [name for name in FIGURES if FIGURES[name].has_interval and name != "uncertain_share"]
    covered = dict.fromkeys(names, 0)
    for seed in range(simulations):
        sample = clustered(random, 250)
        drawn = bootstrap([sample], seed=seed, draws=1000)[0]
        for name in names:
            low, high = interval(drawn[name])
            covered[name] += low <= truth[name] <= high
    rates = {name: count / simulations for name, count in covered.items()}
    assert all(0.93 <= rate <= 0.97 for rate in rates.values()), rates


@pytest.mark.slow
def test_40000_predictions_take_under_20_seconds_of_cpu_and_a_gigabyte():
    code = (
        PEAK_KIBIBYTES
        + """
import json, time
import numpy as np, pandas as pd
from mura_core.evaluation.figures import compute_figures
from mura_core.evaluation import OperatingPoint
from mura_core.data import LEVELS
random = np.random.default_rng(0)
images = 40_000
parts = ["ELBOW", "FINGER", "FOREARM", "HAND", "HUMERUS", "SHOULDER", "WRIST"]
patient = random.integers(0, 12_000, images)
table = pd.DataFrame({
    "path": [f"{number}.png" for number in range(images)],
    "body_part": np.array(parts)[(patient + random.integers(0, 2, images)) % 7],
    "patient": [f"patient{number:05}" for number in patient],
    "study": "study" + pd.Series(random.integers(1, 3, images).astype(str)),
    "label": (random.random(images) < 0.4).astype(int),
    "fold": 0,
})
table["probability"] = 1 / (1 + np.exp(-random.normal(size=images) - table["label"]))
table["logit"] = np.log(table["probability"] / (1 - table["probability"]))
table["part_rate"] = table.groupby("body_part")["label"].transform("mean")
points = dict.fromkeys(((level, 0) for level in LEVELS), OperatingPoint(0.5))
started = time.process_time()
rows = compute_figures(table, points, seed=1)
seconds = time.process_time() - started
kibibytes = peak_kibibytes()
given = sum(row.intervals["auroc"] is not None for row in rows)
print(json.dumps([seconds, kibibytes / 2**20, len(rows), given]))
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, gibibytes, rows, given = json.loads(done.stdout)
    assert rows == given == 3 * 8 + 1
    assert seconds < 20
    assert gibibytes < 1
