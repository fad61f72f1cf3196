"""The data's own test images: in no training, and judged when asked for."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_image

from mura_core.inference import load_model, predict_logits


def write_splits(folder, splits=("Train", "Val", "Test"), patients=14):
    random = np.random.default_rng(0)
    for split in splits:
        for number in range(patients):
            label = number % 2
            pixels = random.integers(0, 100, (32, 32), dtype=np.uint8)
            if label:
                pixels[8:24, 8:24] = 250
            study = f"study1_{('negative', 'positive')[label]}"
            write_image(folder / split / "HAND" / f"{split}{number}" / study / "1.png", pixels)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("test_split"), patients=40)


def train(data, run, *options):
    small = ("--model", "conv2", "--size", 16, "--epochs", 1, "--batch-size", 4)
    done = mura_run("train", "--data", data, "--out", run, *small, *options)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    train(data, folder, "--operating-point", "youden", "--seeds", "2")
    return folder


def test_a_run_doesnt_look_at_the_test_images(run):
    assert not (run / "test").exists()
    for name in ("predictions.csv", "tuning.csv"):
        assert not pd.read_csv(run / name)["path"].str.startswith("Test").any()
    splits = pd.read_csv(run / "splits.csv")
    assert set(splits["split"][splits["path"].str.startswith("Test")]) == {"test"}
    assert set(splits["split_by"][splits["split"] == "tune"]) == {"seed 2019"}
    assert set(splits["split_by"][splits["split"] != "tune"]) == {"data"}
    assert np.load(run / "seeds" / "2019" / "statistics.npz")["count"] == 40
    assert "40 test images" in (run / "report.html").read_text()


def test_the_test_images_are_judged_when_asked_for(run):
    before = (run / "predictions.csv").read_bytes(), json.loads((run / "metrics.json").read_text())
    done = mura_run("evaluate", run, "--split", "test")
    assert done.exit_code == 0, done.output
    assert "Test, by image" in done.output
    table = pd.read_csv(run / "test" / "predictions.csv")
    assert len(table) == 40
    assert table["path"].str.startswith("Test").all()
    metrics = json.loads((run / "test" / "metrics.json").read_text())
    by_image = next(row for row in metrics["figures"] if row["level"] == "image")
    assert (by_image["count"], by_image["abnormal"]) == (40, 20)
    # The operating point is the run's, chosen on training patients.
    point = next(row for row in metrics["operating_points"] if row["level"] == "image")
    of_run = next(row for row in before[1]["operating_points"] if row["level"] == "image")
    assert point["threshold"] == of_run["threshold"]
    called = table["probability"] >= point["threshold"]
    assert by_image["accuracy"] == pytest.approx((called == (table["label"] == 1)).mean())
    assert "On the test images" in (run / "report.html").read_text()
    after = (run / "predictions.csv").read_bytes(), json.loads((run / "metrics.json").read_text())
    assert after == before
    again = mura_run("evaluate", run, "--split", "test")
    assert "were judged before" in again.output
    assert len(pd.read_csv(run / "test" / "judgements.csv")) == 2


def test_the_prediction_is_the_mean_of_the_networks(run, data):
    mura_run("evaluate", run, "--split", "test")
    table = pd.read_csv(run / "test" / "predictions.csv")
    from mura_core import Square, prepare, read_manifest

    manifest = read_manifest(data)
    prepared = prepare(manifest, run.parent / "cache", Square(16))
    rows = np.flatnonzero(prepared.table["split"] == "test")
    votes = []
    for own in sorted((run / "seeds").iterdir()):
        logits = predict_logits(load_model(own / "model.keras"), prepared.images, rows)
        votes.append(1 / (1 + np.exp(-logits.astype(np.float64))))
    expected = dict(zip(prepared.table["path"].iloc[rows], np.mean(votes, axis=0), strict=True))
    assert table.set_index("path")["probability"].to_dict() == pytest.approx(expected, rel=1e-5)


def test_without_test_images_it_is_refused(tmp_path):
    data = write_splits(tmp_path / "data", ("TRAIN", "TEST"))
    output = train(data, tmp_path / "run")
    assert "its test images are used for validation" in output
    judged = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert judged["path"].str.startswith("TEST").all()
    refused(
        2,
        "Without 'valid', 'test' was used for validation",
        "evaluate",
        tmp_path / "run",
        "--split",
        "test",
    )


def test_a_split_by_seed_is_said_on_the_page_and_in_the_table(tmp_path):
    data = write_splits(tmp_path / "data", ("images",))
    output = train(data, tmp_path / "run")
    assert "The data names no split" in output
    page = (tmp_path / "run" / "report.html").read_text()
    assert "was dealt by seed 2019, not named by the data (train 11, valid 3)" in page
    splits = pd.read_csv(tmp_path / "run" / "splits.csv")
    assert set(splits["split_by"]) == {"seed 2019"}


def test_labels_that_changed_since_are_refused(tmp_path):
    data = write_splits(tmp_path / "data")
    run = tmp_path / "run"
    train(data, run)
    before = data / "Test" / "HAND" / "Test0"
    (before / "study1_negative").rename(before / "study1_positive")
    refused(1, "was trained on other data", "evaluate", run, "--split", "test")
    assert not (run / "test").exists()


def test_folds_leave_the_test_images_alone(data, tmp_path):
    train(data, tmp_path / "run", "--validate", "kfold", "--folds", 2)
    splits = pd.read_csv(tmp_path / "run" / "splits.csv")
    assert splits.groupby("split").size().to_dict() == {"test": 40, "train": 40, "unused": 40}
    assert "(2 folds)" in (tmp_path / "run" / "report.html").read_text()
    done = mura_run("evaluate", tmp_path / "run", "--split", "test")
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(tmp_path / "run" / "test" / "predictions.csv")) == 40
