"""Networks that differ by seed alone, averaged as one run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_mura
from run_results import predicted, thresholds

from mura_core.data import read_manifest
from mura_core.errors import UsageError
from mura_core.evaluation import at_level
from mura_core.pipeline.train_seeds import mean_prediction
from mura_core.runs import parse_seeds

SMALL = ("--size", "32", "--epochs", "2", "--seed", "5")
CHOSEN = ("--operating-point", "youden", "--calibrate", "temperature")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_mura(tmp_path_factory.mktemp("data"), patients=48)


def run(folder: Path, data: Path, *options: object) -> Path:
    result = mura_run("--data", data, "--out", folder, *SMALL, *options)
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


@pytest.fixture(scope="module")
def seeds(data: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "seeds"
    return run(folder, data, *CHOSEN, "--seeds", "2", "--explain", "gradcam",
               "--explain-images", "6")  # fmt: skip


@pytest.fixture(scope="module")
def folds(data: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "folds"
    return run(folder, data, *CHOSEN, "--seeds", "5,11", "--validate", "kfold", "--folds", "2")


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", (2019,)), ("3", (2019, 3019, 4019)), ("2019,7,11", (2019, 7, 11)), ("4, 2", (4, 2))],
)
def test_seeds_are_a_number_or_a_list(text, expected):
    assert parse_seeds(text, 2019) == expected


@pytest.mark.parametrize("text", ["", "three", "1.5", "-1", "0", "2019", "1,", "1,2,1", "1;2"])
def test_other_seeds_are_refused(text, tmp_path):
    with pytest.raises(UsageError, match="--seeds "):
        parse_seeds(text, 2019)
    if text:
        refused(2, "--seeds ", "train", "--seeds", text, "--out", tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_the_mean_is_of_probabilities():
    table = pd.DataFrame({"path": ["a", "b"], "logit": np.float32([0, 2]), "probability": 0.1})
    other = table.assign(logit=np.float32([2, -1]))
    mean = mean_prediction([table, other])
    expected = (sigmoid([0, 2]) + sigmoid([2, -1])) / 2
    np.testing.assert_allclose(mean["probability"], expected, rtol=1e-6)
    np.testing.assert_allclose(sigmoid(mean["logit"]), expected, rtol=1e-6)


def test_seeds_differ_by_their_networks_alone(seeds: Path, data: Path, tmp_path: Path):
    assert sorted(path.name for path in (seeds / "seeds").iterdir()) == ["1005", "5"]
    assert not (seeds / "model.keras").exists()
    own = {seed: seeds / "seeds" / seed for seed in ("5", "1005")}
    splits = {(folder / "splits.csv").read_bytes() for folder in [seeds, *own.values()]}
    assert len(splits) == 1
    first, second = (pd.read_csv(folder / "predictions.csv") for folder in own.values())
    assert not np.allclose(first["logit"], second["logit"], rtol=1e-3)
    mean = pd.read_csv(seeds / "predictions.csv")
    assert mean["path"].tolist() == first["path"].tolist()
    np.testing.assert_allclose(
        mean["probability"], (first["probability"] + second["probability"]) / 2, rtol=1e-6
    )
    tuning = [pd.read_csv(folder / "tuning.csv") for folder in [seeds, *own.values()]]
    np.testing.assert_allclose(
        tuning[0]["probability"], (tuning[1]["probability"] + tuning[2]["probability"]) / 2,
        rtol=1e-6,
    )  # fmt: skip
    # The first is what a run without the option trains.
    alone = run(tmp_path / "alone", data, *CHOSEN)
    assert (alone / "predictions.csv").read_bytes() == (
        own["5"] / "predictions.csv"
    ).read_bytes()  # fmt: skip
    history = pd.read_csv(seeds / "history.csv")
    assert history.groupby("run_seed").size().to_dict() == {5: 2, 1005: 2}


def test_every_seed_and_their_average_have_figures(seeds: Path):
    found = metrics(seeds)
    assert [row["seed"] for row in found["seeds"] if row["level"] == "study"] == [5, 1005]
    accuracies = []
    for seed in (5, 1005):
        own = seeds / "seeds" / str(seed)
        # Judged by itself: what its own patients that were held out say.
        alone = metrics_of_tables(own, seeds)
        row = next(row for row in found["seeds"] if (row["level"], row["seed"]) == ("image", seed))
        assert row["accuracy"] == pytest.approx(alone)
        accuracies.append(row["accuracy"])
    spread = next(row for row in found["over_seeds"] if row["level"] == "image")
    assert spread["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert spread["accuracy"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    assert spread["accuracy"]["seeds"] == 2
    (point,) = thresholds(seeds, "image")
    calibrated = pd.read_csv(seeds / "calibrated.csv")
    labels = pd.read_csv(seeds / "predictions.csv")["label"]
    image = next(
        row for row in found["figures"] if (row["level"], row["body_part"]) == ("image", "ALL")
    )
    assert image["accuracy"] == pytest.approx(
        np.mean((calibrated["probability"] >= point) == (labels == 1))
    )
    console = (seeds / "console.txt").read_text()
    assert "Seed 1005, 2 of 2" in console
    assert "The figures above average 2 seeds. Each seed separately:" in console
    assert "Mean and deviation over the seeds: accuracy" in console
    page = " ".join((seeds / "report.html").read_text().split())
    assert "of the average of 2 networks, which differ only in their seed" in page
    assert "<td>1005</td>" in page


def metrics_of_tables(own: Path, seeds: Path) -> float:
    """The accuracy by image of one seed's tables, judged as if they were a run."""
    from mura_core.evaluation import judge, parse_rule
    from mura_core.runs import read_predictions

    tuning = read_predictions(own, "tuning.csv")
    judged = judge(read_predictions(own), tuning, parse_rule("youden"), "temperature")
    positive = judged.predictions["probability"] >= judged.points["image", 0].threshold
    return float(np.mean(positive == (judged.predictions["label"] == 1)))


def test_the_first_seed_is_explained(seeds: Path):
    heatmaps = pd.read_csv(seeds / "heatmaps" / "heatmaps.csv")
    first = pd.read_csv(seeds / "seeds" / "5" / "predictions.csv").set_index("path")
    np.testing.assert_allclose(heatmaps["logit"], first["logit"][heatmaps["path"]], rtol=1e-6)
    assert metrics(seeds)["heatmaps"]["seed"] == 5
    assert "Explaining the networks of the first seed, 5." in ((seeds / "console.txt").read_text())
    assert "Only the networks of the first seed, 5," in (seeds / "report.html").read_text()


def test_a_finished_seed_is_not_trained_again(seeds: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(seeds, folder)
    for name in ("predictions.csv", "tuning.csv", "history.csv", "splits.csv", "metrics.json"):
        (folder / name).unlink()
    (folder / "seeds" / "5" / "checkpoint.npz").unlink()
    shutil.rmtree(folder / "seeds" / "1005")
    result = mura_run("train", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert result.output.count("Already trained") == 1
    assert result.output.count("Epoch 2 of 2") == 1
    for name in ("predictions.csv", "tuning.csv", "splits.csv"):
        assert (folder / name).read_bytes() == (seeds / name).read_bytes(), name
    assert metrics(folder) == metrics(seeds) | {"heatmaps": None}


def test_seeds_and_folds_go_together(folds: Path, data: Path):
    networks = {
        (seed, fold): folds / "seeds" / seed / "folds" / fold / "model.keras"
        for seed in ("5", "11") for fold in ("1", "2")
    }  # fmt: skip
    assert all(path.is_file() for path in networks.values())
    tables = [pd.read_csv(folds / "seeds" / seed / "predictions.csv") for seed in ("5", "11")]
    mean = pd.read_csv(folds / "predictions.csv")
    assert set(mean["fold"]) == {1, 2}
    for table in tables:
        assert table["fold"].tolist() == mean["fold"].tolist()
    np.testing.assert_allclose(
        mean["probability"], (tables[0]["probability"] + tables[1]["probability"]) / 2, rtol=1e-6
    )
    found = metrics(folds)
    assert [row["fold"] for row in found["folds"] if row["level"] == "image"] == [1, 2]
    assert [row["seed"] for row in found["seeds"] if row["level"] == "image"] == [5, 11]
    for row, table in zip(
        (row for row in found["seeds"] if row["level"] == "study"), tables, strict=True
    ):
        assert row["count"] == len(at_level(table, "study"))
    splits = pd.read_csv(folds / "splits.csv")
    assert set(splits["fold"]) == {0, 1, 2}
    history = pd.read_csv(folds / "history.csv")
    assert history.groupby(["run_seed", "fold"]).size().tolist() == [2, 2, 2, 2]

    # New images: each fold's mean over the seeds, calibrated as the fold was, then the mean.
    images = read_manifest(data).folder / "valid" / "XR_WRIST"
    table = predicted(folds, images).set_index("path")
    logits = {
        key: predicted("--model-file", path, images).set_index("path")["logit"][table.index]
        for key, path in networks.items()
    }
    by_fold = []
    for fold in ("1", "2"):
        of_fold = (sigmoid(logits["5", fold]) + sigmoid(logits["11", fold])) / 2
        logit = np.log(of_fold / (1 - of_fold))
        by_fold.append(sigmoid(logit / found["temperatures"][fold]))
    np.testing.assert_allclose(table["probability"], np.mean(by_fold, axis=0), rtol=1e-5)
    abnormal = table["probability"] >= np.mean(thresholds(folds, "image"))
    assert ((table["verdict"] == "abnormal") == abnormal).all()


def test_the_average_of_seeds_is_used_as_it_was_judged(seeds: Path, data: Path):
    root = read_manifest(data).folder
    table = predicted(seeds, root / "valid")
    calibrated = pd.read_csv(seeds / "calibrated.csv").set_index("path")
    own = [str(Path(path).relative_to(root)) for path in table["path"]]
    np.testing.assert_allclose(table["probability"], calibrated["probability"][own], rtol=1e-12)
    (point,) = thresholds(seeds, "image")
    assert (
        (table["verdict"] == "abnormal") == (calibrated["probability"][own] >= point).to_numpy()
    ).all()


def test_a_restart_into_the_seed_of_another_is_told(caplog):
    from mura_core.pipeline.train_seeds import _warn_of_twins

    histories = {
        7: pd.DataFrame({"seed": [7, 8, 8]}),  # it collapsed, and started again
        8: pd.DataFrame({"seed": [8, 8, 8]}),
        9: pd.DataFrame({"seed": [9, 9, 9]}),
    }
    _warn_of_twins(histories)
    assert "The networks of the seeds 7 and 8 are the same" in caplog.text
    caplog.clear()
    _warn_of_twins({seed: histories[seed] for seed in (7, 9)})
    assert not caplog.text
