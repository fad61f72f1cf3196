"""Runs that hold patients out, as a user asks for them: hold-out, folds, operating points."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import SMALL, mura_run, refused
from data_sets import write_mura

from mura_core.data import prepare, read_manifest
from mura_core.imaging import Square, load_statistics
from mura_core.inference import load_model, mean_logit, predict_logits
from mura_core.pipeline import cache_folder

KFOLD = (*SMALL, "--validate", "kfold", "--folds", "3")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """As `mura`, with more patients."""
    return write_mura(tmp_path_factory.mktemp("more"), patients=48)


@pytest.fixture(scope="module")
def folds(data: Path, tmp_path_factory) -> Path:
    """The folder of a finished cross-validation."""
    folder = tmp_path_factory.mktemp("runs") / "folds"
    result = mura_run(
        "--data", data, "--out", folder, *KFOLD, "--explain", "gradcam", "--explain-images", "6",
        "--operating-point", "youden", "--calibrate", "temperature",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory) -> Path:
    """The folder of a run on the data's own split whose operating point is chosen."""
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    result = mura_run(
        "train", "--data", data, "--out", folder, *SMALL, "--operating-point", "sensitivity=0.9"
    )
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


# Folds ------------------------------------------------------------------------------------------


def test_every_training_image_is_judged_once_by_a_network_that_has_not_seen_its_patient(
    folds: Path, data: Path
):
    table = read_manifest(data).of(split="train").table
    predictions = pd.read_csv(folds / "predictions.csv")
    assert predictions["path"].tolist() == table["path"].tolist()
    assert set(predictions["fold"]) == {1, 2, 3}
    prepared = prepare(read_manifest(data), cache_folder(), Square(32))
    row = pd.Index(prepared.table["path"]).get_indexer
    for fold in (1, 2, 3):
        own = folds / "folds" / str(fold)
        split = pd.read_csv(own / "splits.csv")
        assert (split["split"] == "unused").sum() == (prepared.table["split"] == "valid").sum()
        trained, judged = (split[split["split"] == name] for name in ("train", "valid"))
        assert not set(trained["patient"]) & set(judged["patient"])
        mine = predictions[predictions["fold"] == fold]
        assert mine["path"].tolist() == judged["path"].tolist()
        # This fold's model gives these logits, and its training images these statistics.
        model = load_model(own / "model.keras")
        logits = predict_logits(model, prepared.images, row(judged["path"]))
        np.testing.assert_allclose(mine["logit"], logits, rtol=1e-5, atol=1e-6)
        pixels = prepared.images[row(trained["path"])].astype(np.float64)
        statistics = load_statistics(own / "statistics.npz")
        assert statistics.count == len(trained)
        np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0))
        np.testing.assert_allclose(statistics.deviation, pixels.std(axis=0, ddof=1))
        # The baseline knows the rates of this fold's training images alone.
        labels = prepared.table.iloc[row(trained["path"])]
        for part, rate in labels.groupby("body_part")["label"].mean().items():
            np.testing.assert_allclose(mine["part_rate"][mine["body_part"] == part], rate)
    splits = pd.read_csv(folds / "splits.csv").set_index("path")
    assert (splits["fold"][predictions["path"]].to_numpy() == predictions["fold"]).all()
    weights = [
        line for line in (folds / "console.txt").read_text().splitlines() if "weights" in line
    ]
    assert len(weights) == 3


def test_folds_have_figures_with_mean_and_spread(folds: Path):
    found = metrics(folds)
    predictions = pd.read_csv(folds / "calibrated.csv").merge(
        pd.read_csv(folds / "predictions.csv")[["path", "label"]]
    )
    rows = [row for row in found["folds"] if row["level"] == "image"]
    assert [row["fold"] for row in rows] == [1, 2, 3]
    accuracies = []
    for row in rows:
        (point,) = [
            point["threshold"] for point in found["operating_points"]
            if (point["level"], point["fold"]) == ("image", row["fold"])
        ]  # fmt: skip
        mine = predictions[predictions["fold"] == row["fold"]]
        accuracies.append(np.mean((mine["probability"] >= point) == (mine["label"] == 1)))
        assert row["accuracy"] == pytest.approx(accuracies[-1])
        temperature = found["temperatures"][str(row["fold"])]
        np.testing.assert_allclose(
            mine["probability"], 1 / (1 + np.exp(-mine["logit"] / temperature))
        )
    image = next(row for row in found["over_folds"] if row["level"] == "image")
    assert image["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert image["accuracy"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    console = (folds / "console.txt").read_text()
    assert "Fold 3 of 3" in console
    assert "Mean and deviation over the folds: accuracy" in console
    assert "by youden on the other folds" in console
    history = pd.read_csv(folds / "history.csv")
    assert history.groupby("fold").size().tolist() == [2, 2, 2]


def test_the_report_of_folds_says_what_was_judged_how(folds: Path):
    page = (folds / "report.html").read_text()
    for said in (
        "Figures on all training images, out of fold",
        "by youden on the other folds",
        "calibrated (temperature)",
        "body part only",
        "its 95 % interval, from",
        "mean, deviation",
        "Misclassified images",
    ):
        assert said in " ".join(page.split()), said


def test_heatmaps_of_folds_are_of_the_network_that_judged(folds: Path, data: Path):
    heatmaps = pd.read_csv(folds / "heatmaps" / "heatmaps.csv")
    predictions = pd.read_csv(folds / "predictions.csv").set_index("path")
    assert len(heatmaps) == 6
    np.testing.assert_allclose(heatmaps["logit"], predictions["logit"][heatmaps["path"]], rtol=1e-6)
    assert len(set(predictions["fold"][heatmaps["path"]])) > 1


def test_a_fold_that_is_there_is_kept_and_one_that_lacks_is_trained_the_same(
    folds: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(folds, run)
    for name in ("predictions.csv", "metrics.json", "history.csv"):
        (run / name).unlink()
    shutil.rmtree(run / "folds" / "2")
    (run / "folds" / "3" / "predictions.csv").unlink()  # killed after its last epoch
    before = (run / "folds" / "1" / "model.keras").read_bytes()
    result = mura_run("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert "Already trained" in result.output
    assert result.output.count("Epoch 2 of 2") == 1  # of the second fold
    assert (run / "folds" / "1" / "model.keras").read_bytes() == before
    assert (run / "predictions.csv").read_bytes() == (folds / "predictions.csv").read_bytes()
    # Heatmaps are measured when they are drawn.
    assert metrics(run) == metrics(folds) | {"heatmaps": None}


@pytest.mark.slow
def test_a_killed_cross_validation_goes_on_with_the_folds_it_lacks(
    folds: Path, data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "mura_core.cli", "train", "--data", str(data), "--out", str(run),
        *KFOLD, "--operating-point", "youden", "--calibrate", "temperature",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        second = False
        for line in process.stdout:
            second = second or line.startswith("Fold 2")
            if second and line.startswith("Epoch 1 "):
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (run / "predictions.csv").exists()
    result = mura_run("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert (run / "predictions.csv").read_bytes() == (folds / "predictions.csv").read_bytes()


def test_folds_of_other_images_are_refused(folds: Path, data: Path, tmp_path: Path):
    run, other = tmp_path / "run", tmp_path / "data"
    shutil.copytree(folds, run)
    shutil.copytree(data, other)
    settings = (run / "config.yaml").read_text().replace(str(data), str(other))
    (run / "config.yaml").write_text(settings)
    shutil.rmtree(other / "MURA-v1.1" / "train" / "XR_WRIST")
    refused(1, "the images have changed since this run", "train", "--resume", run)


def test_folds_of_other_versions_are_refused(folds: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(folds, run)
    path = run / "environment.json"
    environment = json.loads(path.read_text())
    environment["packages"]["keras"] = "3.0.1"
    path.write_text(json.dumps(environment))
    refused(1, "was trained with keras 3.0.1, now it is", "train", "--resume", run)


def test_folds_go_on_where_the_data_has_moved(folds: Path, data: Path, tmp_path: Path):
    run, other = tmp_path / "run", tmp_path / "data"
    shutil.copytree(folds, run)
    shutil.copytree(data, other)
    settings = (run / "config.yaml").read_text().replace(str(data), str(other))
    (run / "config.yaml").write_text(settings)
    result = mura_run("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert result.output.count("Already trained") == 3


def test_folds_of_corrected_labels_are_refused(folds: Path, data: Path, tmp_path: Path):
    run, other = tmp_path / "run", tmp_path / "data"
    shutil.copytree(folds, run)
    shutil.copytree(data, other)
    settings = (run / "config.yaml").read_text().replace(str(data), str(other))
    (run / "config.yaml").write_text(settings)
    labels = other / "MURA-v1.1" / "train_labeled_studies.csv"
    first, *others = labels.read_text().splitlines()
    study, label = first.split(",")
    labels.write_text("\n".join([f"{study},{1 - int(label)}", *others]) + "\n")
    refused(1, "was trained on other data (label has changed)", "train", "--resume", run)
    warned = mura_run("evaluate", run)
    assert warned.exit_code == 0
    assert "The data has changed since this run was trained (label)" in warned.stderr


def test_too_many_folds_are_refused(mura: Path, tmp_path: Path):
    out = ("--data", mura, "--out", tmp_path / "run", "--size", "32")
    refused(1, "too few to split into 99 groups", *out, "--validate", "kfold", "--folds", "99")
    refused(2, "is not in the range", *out, "--validate", "kfold", "--folds", "1")
    refused(2, "is not one of 'split', 'holdout', 'kfold'", *out, "--validate", "loo")


# Hold-out ---------------------------------------------------------------------------------------


def test_a_proportion_of_the_training_patients_is_held_out_and_judged(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    result = mura_run(
        "train", "--data", data, "--out", out, *SMALL, "--validate", "holdout", "--proportion",
        "0.7",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    splits = pd.read_csv(out / "splits.csv")
    table = read_manifest(data).table.set_index("path").loc[splits["path"]]
    assert ((splits["split"] == "unused").to_numpy() == (table["split"] == "valid")).all()
    trained, judged = (splits[splits["split"] == name] for name in ("train", "valid"))
    assert len(trained) / (len(trained) + len(judged)) == pytest.approx(0.7, abs=0.06)
    assert not set(trained["patient"]) & set(judged["patient"])
    assert pd.read_csv(out / "predictions.csv")["path"].tolist() == judged["path"].tolist()
    assert "held-out training images" in (out / "report.html").read_text()


def test_data_without_a_split_is_divided_whole(data: Path, tmp_path: Path):
    manifest = read_manifest(data)
    table = manifest.table.drop(columns="split")
    table["path"] = [str(Path("MURA-v1.1") / path) for path in table["path"]]
    table.to_csv(data / "all.csv", index=False)
    result = mura_run("train", "--data", data / "all.csv", "--out", tmp_path / "run", *KFOLD)
    assert result.exit_code == 0, result.output
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert sorted(predictions["path"]) == sorted(table["path"])


# Operating points -------------------------------------------------------------------------------


def test_an_operating_point_is_chosen_on_training_patients_held_out_for_it(tuned: Path):
    splits = pd.read_csv(tuned / "splits.csv").set_index("path")["split"]
    tuning = pd.read_csv(tuned / "tuning.csv")
    assert set(splits[tuning["path"]]) == {"tune"}
    assert (splits == "tune").sum() == len(tuning)
    assert set(tuning["split"]) == {"train"}
    found = metrics(tuned)
    assert found["operating_point"] == "sensitivity=0.9"
    (image,) = [row for row in found["operating_points"] if row["level"] == "image"]
    assert image["count"] == len(tuning)
    abnormal = tuning["probability"][tuning["label"] == 1]
    assert np.mean(abnormal >= image["threshold"]) >= 0.9
    where = f"by sensitivity=0.9 on {len(tuning)} images of held-out training patients"
    assert where in (tuned / "console.txt").read_text()
    # It's the last epoch's network all the same: the held-out images choose nothing else.
    assert len(pd.read_csv(tuned / "history.csv")) == 2


def test_a_run_is_judged_anew_by_another_rule(tuned: Path, folds: Path, tmp_path: Path):
    for finished in (tuned, folds):
        run = tmp_path / finished.name
        shutil.copytree(finished, run)
        result = mura_run(
            "evaluate", run, "--operating-point", "specificity=0.8", "--calibrate", "isotonic"
        )
        assert result.exit_code == 0, result.output
        found = metrics(run)
        assert (found["operating_point"], found["calibrate"]) == ("specificity=0.8", "isotonic")
        assert (run / "calibrated.csv").is_file()
        assert (run / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()
        # Once more, without a word: as before.
        assert mura_run("evaluate", run).exit_code == 0
        assert metrics(run) == found
        plain = mura_run("evaluate", run, "--operating-point", "0.5", "--calibrate", "none")
        assert plain.exit_code == 0, plain.output
        assert not (run / "calibrated.csv").exists()
    refused(2, "is not a probability such as", "evaluate", tuned, "--operating-point", "best")
    refused(2, "is not a probability such as", "train", "--operating-point", "best")


def test_without_held_out_patients_nothing_is_chosen(mura: Path, tmp_path: Path):
    out = tmp_path / "run"
    assert mura_run("train", "--data", mura, "--out", out, *SMALL).exit_code == 0
    assert not (out / "tuning.csv").exists()
    refused(1, "no training patients were held out", "evaluate", out, "--operating-point", "youden")


def test_the_console_says_in_words_that_a_baseline_is_not_beaten(tuned: Path):
    console = (tuned / "console.txt").read_text()
    for level in ("image", "study", "patient within part", "patient"):
        assert f"Validation, by {level}" in console
    # Every patient has one study of a part: the same units aren't printed twice.
    assert (
        "Validation, by patient within part: same as by study, because the units are the same"
        in console
    )
    for row in metrics(tuned)["figures"]:
        if row["level"] == "study" and row["body_part"] == "ALL":
            beaten = row["baselines"]["always_normal"]["beaten_by"]["accuracy"]
            said = "beats" if beaten["beats"] else "does not beat"
            numbers = (
                f"{row['accuracy']:.3f} against {row['baselines']['always_normal']['accuracy']:.3f}"
            )
            assert f"Always normal: the network {said} it by accuracy ({numbers}" in console


# Misclassified images ---------------------------------------------------------------------------


def test_errors_are_listed_and_drawn(tuned: Path):
    from PIL import Image

    errors = pd.read_csv(tuned / "errors.csv")
    predictions = pd.read_csv(tuned / "predictions.csv")
    (point,) = [
        row["threshold"] for row in metrics(tuned)["operating_points"] if row["level"] == "image"
    ]
    wrong = (predictions["probability"] >= point) != (predictions["label"] == 1)
    assert set(errors["path"]) == set(predictions["path"][wrong])
    for part, rows in errors.groupby("body_part"):
        assert rows["margin"].is_monotonic_decreasing
        with Image.open(tuned / "errors" / f"{part}.png") as sheet:
            shown = min(len(rows), 12)
            assert sheet.size[0] == 4 * 224
            assert sheet.size[1] == -(-shown // 4) * (224 + 34)
    assert (
        f"{wrong.sum()} of {len(predictions)} images were misclassified"
        in (tuned / "console.txt").read_text()
    )


def test_without_the_images_a_run_is_judged_all_the_same(tuned: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(tuned, run)
    config = run / "config.yaml"
    lines = config.read_text().splitlines()
    gone = [f"data: {tmp_path / 'gone'}" if line.startswith("data:") else line for line in lines]
    config.write_text("\n".join(gone))
    result = mura_run("evaluate", run)
    assert result.exit_code == 0, result.output
    assert "contact sheets of errors weren't drawn" in result.stderr
    assert metrics(run) == metrics(tuned)


# Two runs, two models ---------------------------------------------------------------------------


def test_two_runs_are_compared(tuned: Path, folds: Path, data: Path, tmp_path: Path):
    other = tmp_path / "other"
    trained = mura_run(
        "train", "--data", data, "--out", other, *SMALL, "--operating-point", "0.4", "--epochs", "1"
    )
    assert trained.exit_code == 0, trained.output
    table = tmp_path / "comparison.csv"
    result = mura_run("compare", tuned, other, "--out", table)
    assert result.exit_code == 0, result.output
    assert "AUROC by DeLong: p =" in result.output
    rows = pd.read_csv(table).set_index(["level", "body_part", "figure"])
    for name, run in (("first", tuned), ("second", other)):
        for figures in metrics(run)["figures"]:
            if figures["accuracy"] is not None:
                row = rows.loc[figures["level"], figures["body_part"], "accuracy"]
                assert row[name] == pytest.approx(figures["accuracy"])
    refused(1, "the runs judged different images", "compare", tuned, folds)
    refused(2, "takes 2 values", "compare", tuned)


def test_several_models_and_mirrored_images_are_averaged(
    tuned: Path, folds: Path, data: Path, tmp_path: Path
):
    models = [tuned / "model.keras", folds / "folds" / "1" / "model.keras"]
    studies = data / "MURA-v1.1" / "valid" / "XR_ELBOW"

    def predicted(*options: object) -> pd.DataFrame:
        out = tmp_path / "table.csv"
        result = mura_run("predict", *options, "--out", out, studies)
        assert result.exit_code == 0, result.output
        return pd.read_csv(out)

    single = [predicted("--model-file", model) for model in models]
    both = predicted("--model-file", models[0], "--model-file", models[1])
    mean = (single[0]["probability"] + single[1]["probability"]) / 2
    np.testing.assert_allclose(both["probability"], mean, rtol=1e-5)
    np.testing.assert_allclose(both["probability"], 1 / (1 + np.exp(-both["logit"])), rtol=1e-5)
    by_study = both.groupby("study")["probability"].mean()
    np.testing.assert_allclose(both["study_probability"], by_study[both["study"]])
    # Mirrored files, predicted as they are, are what --flip predicts besides.
    from PIL import Image, ImageOps

    mirrored = tmp_path / "mirrored"
    for path in single[0]["path"]:
        target = mirrored / Path(path).relative_to(studies)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            ImageOps.mirror(image).save(target)
    flipped = predicted("--model-file", models[0], "--flip")
    plain, studies = single[0], mirrored
    other = predicted("--model-file", models[0])
    mean = (plain["probability"] + other["probability"]) / 2
    np.testing.assert_allclose(flipped["probability"], mean, rtol=1e-3)
    assert not np.allclose(flipped["probability"], plain["probability"], rtol=1e-4)


def test_a_model_that_is_no_runs_is_named(tuned: Path, data: Path, tmp_path: Path):
    import keras

    inputs = keras.Input((32, 32, 1))
    keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs))).save(
        tmp_path / "other.keras"
    )
    refused(
        1, "other.keras: the model's input is named", "predict", "--model-file",
        tuned / "model.keras", "--model-file", tmp_path / "other.keras", data,
    )  # fmt: skip


def test_the_mean_of_sure_networks_is_exact():
    logits = np.array([[0.0, 0.0], [50.0, 40.0], [-800.0, -800.0], [2.0, -1.0]])
    odds = np.log(1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(1))) - np.log(
        1 / (1 + np.exp(2)) + 1 / (1 + np.exp(-1))
    )
    # 1 - p is (exp(-50) + exp(-40)) / 2, which no float64 below 1 can say.
    expected = [0.0, 40 + np.log(2) - np.log1p(np.exp(-10)), -800.0, odds]
    np.testing.assert_allclose(mean_logit(logits), expected)
