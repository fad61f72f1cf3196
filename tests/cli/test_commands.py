"""The command line, as a user types it: what works, and every error a user can cause."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import SMALL, mura_run, own_process, refused

from mura_core.data import read_manifest


@pytest.fixture(scope="module")
def finished(mura: Path, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = mura_run("--data", mura, "--explain", "gradcam", "--out", folder, *SMALL)
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


# What works -----------------------------------------------------------------------------------


def test_a_run_leaves_its_whole_folder(finished: Path, mura: Path):
    assert {path.name for path in finished.iterdir()} == {
        "checkpoint.npz",
        "config.yaml",
        "console.txt",
        "counts.csv",
        "environment.json",
        "errors",
        "errors.csv",
        "heatmaps",
        "history.csv",
        "left_out.csv",
        "metrics.json",
        "model.keras",
        "predictions.csv",
        "report.html",
        "splits.csv",
        "statistics.npz",
        "unusual.csv",
        "usual.json",
    }
    predictions = pd.read_csv(finished / "predictions.csv")
    valid = read_manifest(mura).of(split="valid").table
    assert predictions["path"].tolist() == valid["path"].tolist()
    assert predictions["probability"].between(0, 1).all()
    metrics = json.loads((finished / "metrics.json").read_text())
    by = {(row["level"], row["body_part"]): row for row in metrics["figures"]}
    assert by["image", "ALL"]["count"] == len(valid)
    assert by["study", "XR_ELBOW"]["count"] == 10
    heatmaps = pd.read_csv(finished / "heatmaps" / "heatmaps.csv")
    assert len(heatmaps) == 24  # as many as --explain-images draws by default
    assert all((finished / name).is_file() for name in heatmaps["overlay"])


def test_the_console_says_counts_figures_and_where_the_report_is(finished: Path):
    console = (finished / "console.txt").read_text()
    assert "XR_WRIST" in console
    assert "Epoch 2 of 2" in console
    assert "Validation, by patient within part" in console
    assert "always normal" in console
    assert f"Report: {finished / 'report.html'}" in console
    assert "phantom" not in console


def test_the_report_says_what_the_model_cannot_do(finished: Path):
    page = (finished / "report.html").read_text()
    for said in (
        "Not a medical device, and no substitute for a radiologist",
        "block5_relu",
        "By patient within a body part",
        "config.yaml",
    ):
        assert said in page
    assert "phantom" not in page


def test_the_config_of_a_run_repeats_it(finished: Path, tmp_path: Path):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["size"] == 32
    assert config["explain"] == ["gradcam"]
    result = mura_run("--config", finished / "config.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    for name in ("predictions.csv", "metrics.json", "config.yaml"):
        assert (tmp_path / "again" / name).read_text() == (finished / name).read_text(), name


def test_the_command_line_overrules_the_config(finished: Path, tmp_path: Path):
    result = mura_run(
        "train", "--config", finished / "config.yaml", "--out", tmp_path / "run",
        "--epochs", "1", "--body-part", "wrist", "--model-option", "dropout=0.1",
        "--class-weights", "none", "--no-standardise",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert set(predictions["body_part"]) == {"XR_WRIST"}
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 1
    assert "Class weights" not in result.output


def test_evaluate_and_explain_run_again_on_a_finished_run(finished: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = json.loads((run / "metrics.json").read_text())
    (run / "model.keras").rename(tmp_path / "model.keras")
    assert "The scores are lost" not in (run / "report.html").read_text()
    for lost in (False, True):
        if lost:
            (run / "metrics.json").unlink()
            before["heatmaps"] = None
        result = mura_run("evaluate", run)
        assert result.exit_code == 0, result.output
        assert json.loads((run / "metrics.json").read_text()) == before
        assert lost == ("The scores are lost" in (run / "report.html").read_text())
    (tmp_path / "model.keras").rename(run / "model.keras")
    shutil.rmtree(run / "heatmaps")
    result = mura_run("explain", run, "--explain-images", "3", "--style", "report2019")
    assert result.exit_code == 0, result.output
    heatmaps = pd.read_csv(run / "heatmaps" / "heatmaps.csv")
    assert len(heatmaps) == 3
    assert "each image is scaled to its own maximum" in (run / "report.html").read_text()


def test_predict_gives_images_and_studies(finished: Path, mura: Path, tmp_path: Path):
    study = mura / "MURA-v1.1" / "train" / "XR_ELBOW" / "patient00001" / "study1_positive"
    new = tmp_path / "new"
    shutil.copytree(study, new / "study")
    (new / "study" / "broken.png").write_bytes(b"")
    out = tmp_path / "table.csv"
    result = mura_run("predict", "--model-file", finished / "model.keras", "--out", out, new)
    assert result.exit_code == 0, result.output
    assert "broken.png is empty" in result.output
    table = pd.read_csv(out)
    assert list(table) == ["path", "study", "logit", "probability", "study_probability"]
    assert len(table) == 2
    np.testing.assert_allclose(table["study_probability"], table["probability"].mean())
    printed = mura_run("predict", "--model-file", finished / "model.keras", new / "study")
    # The table alone is on standard output, to be piped on; warnings are elsewhere.
    header, *rows = printed.stdout.splitlines()
    assert header == ",".join(table)
    assert len(rows) == 2
    assert "broken.png is empty" in printed.stderr


def test_prepare_counts_and_writes_path_files(mura: Path, tmp_path: Path):
    result = mura_run("prepare", "--data", mura, "--size", "32", "--csv-by-part", tmp_path / "by")
    assert result.exit_code == 0, result.output
    assert "Prepared 108 images: " in result.output
    assert len(list((tmp_path / "by").iterdir())) == 4


def test_quiet_prints_nothing_where_nothing_is_wrong(mura: Path):
    assert mura_run("prepare", "--quiet", "--data", mura, "--size", "32").output == ""


def test_left_out_images_are_counted_named_and_listed(own_mura: Path, tmp_path: Path):
    studies = own_mura / "MURA-v1.1" / "train" / "XR_ELBOW"
    (studies / "patient00000" / "study1_negative" / "image1.png").write_bytes(b"\x89PNG")
    result = mura_run("train", "--data", own_mura, "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    assert "Left out: 1 of 108 images can't be read" in result.output
    left_out = pd.read_csv(tmp_path / "run" / "left_out.csv")
    assert left_out["path"].tolist() == ["train/XR_ELBOW/patient00000/study1_negative/image1.png"]
    refused(
        1, "1 of 108 images can't be read", "train", "--data", own_mura, "--strict",
        "--out", tmp_path / "strict", *SMALL,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is for Linux")
def test_a_run_writes_to_its_folder_and_the_cache_only(mura: Path, tmp_path: Path):
    home, cache, temporary = (tmp_path / name for name in ("home", "cache", "temporary"))
    for folder in (home, cache, temporary):
        folder.mkdir()
    out = tmp_path / "out" / "run"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG", "MPL"))
    } | {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)}
    done = subprocess.run(
        own_process("--data", mura, "--explain", "gradcam", "--out", out, *SMALL),
        env=environment, capture_output=True, text=True, check=False, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
    assert sorted(path.name for path in cache.iterdir()) == ["mura-run"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home", "out", "temporary"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]


# What a user can do wrong ---------------------------------------------------------------------


def test_a_run_folder_is_never_overwritten(finished: Path, mura: Path):
    refused(2, "is not empty; name a new folder", "--data", mura, "--out", finished, *SMALL)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(finished: Path, mura: Path):
    refused(
        1, "/dev/full: can't be written (No space left on device)", "predict",
        "--model-file", finished / "model.keras",
        "--out", "/dev/full", mura / "MURA-v1.1" / "valid",
    )  # fmt: skip


def test_damaged_run_folders_are_refused(finished: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "model.keras").write_bytes(b"PK")
    refused(1, "model.keras: can't be loaded", "explain", run)
    predictions = (run / "predictions.csv").read_text()
    (run / "predictions.csv").write_text(predictions.replace("probability", "chance"))
    refused(1, "has no column 'probability'", "evaluate", run)
    lines = predictions.splitlines()
    (run / "predictions.csv").write_text(lines[0] + "\n")
    refused(1, "predictions.csv: lists no image", "evaluate", run)
    (run / "predictions.csv").write_text("\n".join([*lines, lines[1]]))
    refused(1, "is listed more than once", "evaluate", run)
    (run / "predictions.csv").write_text(predictions)
    (run / "metrics.json").write_text("{")
    refused(1, "metrics.json: is not JSON; delete it", "evaluate", run)
    (run / "metrics.json").unlink()
    (run / "predictions.csv").unlink()
    refused(1, "predictions.csv: no such file", "evaluate", run)
    config = (run / "config.yaml").read_text().replace("calibrate: none", "calibrate: platt")
    (run / "config.yaml").write_text(config)
    refused(1, "calibrate: 'platt' is not one of none, temperature", "evaluate", run)
    refused(2, "does not exist", "evaluate", tmp_path / "nowhere")


def test_predicting_nothing_readable_is_an_error(finished: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    model = ("predict", "--model-file", finished / "model.keras")
    refused(1, "no image files found", *model, tmp_path / "empty")
    (tmp_path / "text.png").write_text("no image")
    refused(1, "none of the 1 images can be read", *model, tmp_path / "text.png")
