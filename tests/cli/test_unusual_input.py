"""Unusual and wrong options and data, and what is said of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import SMALL, mura_run, refused
from data_sets import write_image
from PIL import Image

from mura_core.data import prepare, read_manifest
from mura_core.imaging import Square, load_statistics
from mura_core.runs import read_config
from mura_core.training import RECIPES


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
    for table in ("image_paths", "labeled_studies"):
        (own_mura / "MURA-v1.1" / f"valid_{table}.csv").unlink()
    refused(1, "the data has no valid images", "--data", own_mura, "--out", tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_named(mura: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    refused(
        2, "file is not a folder; name another", "--data", mura, "--out", tmp_path / "file" / "run"
    )
    refused(1, "/proc/run: ", "--data", mura, "--out", "/proc/run", *SMALL)


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
    assert f"1 of {len(trains)} images can't be read: {trains[0]}" in result.output
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


def test_a_reader_that_leaves_early_is_no_error(mura: Path, tmp_path: Path):
    command = [sys.executable, "-m", "mura_core.cli", "prepare", "--data", str(mura), "-v"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()  # as `| head` does
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")


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
