"""The command line, as a user types it: what works, and every error a user can cause."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import SMALL, mura_run, refused
from data_sets import write_image
from PIL import Image

from mura_core.cli import main
from mura_core.data import prepare, read_manifest
from mura_core.imaging import Square, load_statistics
from mura_core.runs import RunConfig, read_config
from mura_core.training import AMOUNTS, RECIPES


@pytest.fixture(scope="module")
def finished(mura: Path, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = mura_run("--data", mura, "--explain", "gradcam", "--out", folder, *SMALL)
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


# Help -----------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom mura_core.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'numpy', 'matplotlib', 'pydantic'}\n"
        "heavy.add('mura_models')\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert "not a medical device" in " ".join(done.stdout.split())


def test_the_data_side_never_imports_tensorflow():
    code = (
        "import sys\n"
        "import mura_core.data.manifest, mura_core.data.prepared, mura_core.evaluation.metrics\n"
        "import mura_core.data.extraction\n"
        "import mura_core.phantoms, mura_core.pipeline.run, mura_plugins.manager\n"
        "mura_plugins.manager.load_plugins()\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_defaults_are_shown():
    text = " ".join(mura_run("run", "--help").output.split())
    for shown in ("default: conv4", "mostly 224", "default: 10", "default: 2019", "runs/<time>"):
        assert shown in text


def test_the_help_of_a_run_starts_with_the_options_that_everyone_needs():
    lines = mura_run("run", "--help").output.splitlines()
    headings = [line for line in lines if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings == [
        "Most used:", "Data:", "Network:", "Training:", "Loss:", "Validation:", "Heatmaps:",
        "Machine:", "Other:",
    ]  # fmt: skip
    first = lines[lines.index("Most used:") + 1 : lines.index("Data:")]
    options = re.findall(r"^  (--\S+)", "\n".join(first), re.MULTILINE)
    assert options == ["--data", "--model", "--explain", "--recipe", "--out"]
    example = lines[lines.index("  Example:") + 1]
    assert example.startswith("    mura-run --data ")
    main.commands["run"].make_context("run", example.split()[1:])  # or it raises


@pytest.mark.parametrize("command", ["run", "train"])
def test_every_setting_is_an_option_with_its_default(command: str):
    given = main.commands[command].make_context(command, []).params
    declared = asdict(RunConfig())
    assert given["size"] is None  # the architecture decides
    heatmaps = {"explain", "explain_images", "layer", "style"} if command == "train" else set()
    assert {name: given[name] for name in declared.keys() - heatmaps - {"size"}} == {
        name: declared[name] for name in declared.keys() - heatmaps - {"size"}
    }
    assert given.keys() - declared.keys() == {
        "out", "resume", "gpu_memory", "quiet", "verbose",
    }  # fmt: skip


def test_the_help_names_every_augmentation():
    shown = " ".join(mura_run("run", "--help").output.split())
    assert [kind for kind in AMOUNTS if not re.search(rf"\b{kind}\b", shown)] == []


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
    assert "broken.png: is empty" in result.output
    table = pd.read_csv(out)
    assert list(table) == ["path", "study", "logit", "probability", "study_probability"]
    assert len(table) == 2
    np.testing.assert_allclose(table["study_probability"], table["probability"].mean())
    printed = mura_run("predict", "--model-file", finished / "model.keras", new / "study")
    # The table alone is on standard output, to be piped on; warnings are elsewhere.
    header, *rows = printed.stdout.splitlines()
    assert header == ",".join(table)
    assert len(rows) == 2
    assert "broken.png: is empty" in printed.stderr


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


# What a user can do wrong ---------------------------------------------------------------------


def test_unknown_names_are_usage_errors_that_list_the_known(mura: Path, tmp_path: Path):
    out = ("--data", mura, "--out", tmp_path / "run", *SMALL)
    refused(2, "--model 'conv9' is not one of conv2, conv3, conv4", "--model", "conv9", *out)
    refused(2, "--explain 'magic' is not one of cam, cells, gradcam", "--explain", "magic", *out)
    refused(2, "--body-part 'knee' is not one of XR_ELBOW, XR_WRIST", "--body-part", "knee", *out)
    refused(2, "it has width=1, dropout=0.5", "--model-option", "depth=3", *out)
    refused(2, "No such option", "--modle", "conv4", *out)
    refused(2, "is not in the range", *out, "--epochs", "0")
    refused(2, "is not in the range", *out, "--seed", "4294967296")
    refused(2, "names a seed above", *out, "--seeds", "1,4294967296")
    refused(2, "is not a finite number", *out, "--learning-rate", "nan")
    refused(2, "is not a finite number", *out, "--weight-decay", "inf")
    refused(2, "No such command 'trian'", "trian")
    assert not (tmp_path / "run").exists()


def test_data_that_is_missing_or_of_one_label_is_refused(tmp_path: Path, own_mura: Path):
    out = ("--out", tmp_path / "run", *SMALL)
    refused(1, "nowhere: no such file or folder", "--data", tmp_path / "nowhere", *out)
    (tmp_path / "empty").mkdir()
    refused(1, "no radiographs found", "--data", tmp_path / "empty", *out)
    labels = own_mura / "MURA-v1.1" / "train_labeled_studies.csv"
    labels.write_text(labels.read_text().replace(",1\n", ",0\n"))
    refused(1, "don't have both labels", "--data", own_mura, *out)


def test_data_without_validation_images_is_refused(own_mura: Path, tmp_path: Path):
    (own_mura / "MURA-v1.1" / "valid_image_paths.csv").unlink()
    refused(1, "the data has no valid images", "--data", own_mura, "--out", tmp_path / "run")


def test_a_run_folder_is_never_overwritten(finished: Path, mura: Path):
    refused(2, "is not empty; name a new folder", "--data", mura, "--out", finished, *SMALL)


def test_a_folder_that_cannot_be_written_is_named(mura: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    refused(
        2, "file is not a folder; name another", "--data", mura, "--out", tmp_path / "file" / "run"
    )
    refused(1, "/proc/run: ", "--data", mura, "--out", "/proc/run", *SMALL)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(finished: Path, mura: Path):
    refused(
        1, "/dev/full: can't be written (No space left on device)", "predict",
        "--model-file", finished / "model.keras",
        "--out", "/dev/full", mura / "MURA-v1.1" / "valid",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs: 10\nlearning: 1\n", "'learning' is not one of epochs, batch_size"),
        ("epochs: [1\n", "is not YAML"),
        ("just words", "must contain lines like"),
        ("epochs: many\n", "epochs: 'many' is not an integer of at least 1"),
        ("validate: nonsense\n", "'nonsense' is not one of split, holdout, kfold"),
    ],
)
def test_a_wrong_config_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "config.yaml").write_text(content)
    refused(2, message, "--config", tmp_path / "config.yaml")


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


def test_an_enormous_image_is_left_out(own_mura: Path, tmp_path: Path):
    manifest = read_manifest(own_mura)
    enormous = Image.new("1", (20_000, 20_000))
    enormous.save(manifest.folder / manifest.table["path"].iloc[0])
    result = mura_run("prepare", "--data", own_mura, "--size", "32")
    assert result.exit_code == 0, result.output
    assert "has 20000 x 20000 pixels" in result.output


def test_statistics_only_keeps_no_images(own_mura: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = read_manifest(own_mura)
    trains = manifest.table["path"][manifest.table["split"] == "train"].tolist()
    (manifest.folder / trains[0]).write_bytes(b"")
    options = ("--data", own_mura, "--size", "32", "--fit", "pad", "--resize", "bilinear")
    result = mura_run("prepare", "--statistics-only", *options)
    assert f"Mean and deviation of {len(trains) - 1} training images: " in result.output
    assert f"1 of {len(trains)} images can't be read; the first: {trains[0]}" in result.output
    written = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in written if path.name == "images.npy"]
    [path] = [path for path in written if path.stem.isalnum() and path.suffix == ".npz"]
    square = Square(32, "bilinear", "pad")
    whole = prepare(manifest, tmp_path / "whole", square)
    statistics = load_statistics(path)
    np.testing.assert_array_equal(statistics.mean, whole.statistics().mean)
    np.testing.assert_array_equal(statistics.deviation, whole.statistics().deviation)
    refused(
        1,
        "Without --strict, they are left out",
        "prepare",
        "--statistics-only",
        "--strict",
        *options,
    )


def test_a_model_knows_how_its_images_become_squares(own_mura: Path, tmp_path: Path):
    # Predicted once more from its file alone, a model gives what the run gave.
    out = tmp_path / "run"
    mura_run(
        "train", "--data", own_mura, "--size", "32", "--epochs", "1", "--fit", "crop",
        "--resize", "linear", "--out", out,
    )  # fmt: skip
    run = pd.read_csv(out / "predictions.csv")
    folder = read_manifest(own_mura).folder
    paths = [str(folder / path) for path in run["path"]]
    table = tmp_path / "predicted.csv"
    mura_run("predict", "--model-file", out / "model.keras", "--out", table, *paths)
    predicted = pd.read_csv(table).set_index("path")["logit"]
    np.testing.assert_allclose(predicted[paths], run["logit"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", ["--resize", "--fit"])
def test_an_unknown_way_to_resize_is_refused(option):
    refused(2, "'best' is not one of", "prepare", option, "best")


def test_instructions_that_the_processor_lacks_are_refused(mura: Path):
    command = [sys.executable, "-m", "mura_core.cli", "prepare", "--data", str(mura)]
    environment = os.environ | {"MURA_INSTRUCTIONS": "avx9"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert "MURA_INSTRUCTIONS='avx9' is not one of scalar" in result.stderr


def test_control_c_ends_in_one_line_that_says_what_is_safe(own_mura: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = [
        sys.executable, "-m", "mura_core.cli", "--data", str(own_mura), "--out", str(out),
        "--size", "32", "--epochs", "1000",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        # A shell's background jobs ignore the signal, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        for line in process.stdout:
            if line.startswith("Epoch 2 "):
                process.send_signal(signal.SIGINT)
        errors = process.stderr.read().strip().splitlines()
    assert process.returncode == 130
    # A slow machine may have printed progress before.
    *progress, stopped = errors
    assert all(re.search(r": \d+ of \d+ ", line) for line in progress), errors
    assert stopped.startswith("Stopped: prepared images stay in the cache")
    assert "model.keras" in stopped
    assert (out / "model.keras").is_file()


def test_a_reader_that_leaves_early_is_no_error(mura: Path, tmp_path: Path):
    command = [sys.executable, "-m", "mura_core.cli", "prepare", "--data", str(mura), "-v"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()  # as `| head` does
        errors = process.stderr.read()
    assert process.returncode == 0
    assert errors == ""


def test_odd_image_modes_are_read_right_among_many(own_mura: Path, tmp_path: Path):
    manifest = read_manifest(own_mura)
    grey = np.full((30, 30), 99, np.uint8)
    sixteen = manifest.table["path"].iloc[0]
    write_image(manifest.folder / sixteen, grey.astype(np.uint16) * 257)
    result = mura_run("prepare", "--data", own_mura, "--size", "32")
    assert result.exit_code == 0, result.output
    assert "Left out" not in result.output


def test_a_recipe_sets_options_that_others_go_before(mura: Path, tmp_path: Path):
    out = tmp_path / "run"
    result = mura_run(
        "train", "--recipe", "half-hour", "--data", mura, "--out", out, "--size", "32",
        "--epochs", "1", "--model-option", "width=0.1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["model"] == "resnet18"
    assert config["fit"] == "pad"
    assert (config["size"], config["epochs"]) == (32, 1)
    assert config["model_option"] == ["width=0.1"]
    refused(2, "'quick' is not one of 'report2019', 'half-hour'", "--recipe", "quick")


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_options_and_values_of_their_types(name: str, tmp_path: Path):
    settings = {
        option: list(value) if isinstance(value, tuple) else value
        for option, value in RECIPES[name].items()
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    assert read_config(tmp_path / "config.yaml") == RECIPES[name]
