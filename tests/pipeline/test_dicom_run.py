"""A run on DICOM files: trained, predicted and explained, and no header in what is kept."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from dicom_files import write_radiograph

from mura_core.runs import config_of

PRIVATE = {
    "PatientName": "Zaphod^Beeblebrox",
    "PatientBirthDate": "19520311",
    "StudyDate": "20190817",
    "AccessionNumber": "ACC777421",
    "InstitutionName": "Magrathea General",
    "StudyDescription": "Left hand after a fall",
}


def write_data(folder: Path) -> Path:
    """Write 24 radiographs without suffixes, half of them with a bright square, and a manifest."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(24):
        pixels = random.integers(0, 1500, (40, 36))
        if number % 2:
            pixels[10:26, 10:26] = 4000
        name = f"p{number}/IM{number:04}"
        write_radiograph(
            folder / name, pixels, BitsStored=12, PatientID=f"MRN-{number}-903", **PRIVATE,
            WindowCenter=2048, WindowWidth=4096,
        )  # fmt: skip
        split = "valid" if number % 4 > 1 else "train"
        rows.append((name, "HAND", f"p{number}", "s1", number % 2, split))
    columns = ["path", "body_part", "patient", "study", "label", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = mura_run(
        "train", "--data", data, "--model", "conv2", "--size", 32, "--epochs", 1,
        "--window", "1000,2000", "--out", folder,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def refuse_headers(folder: Path) -> None:
    secrets = [*PRIVATE.values(), "Zaphod", "Beeblebrox", "MRN-", "1.2.826.0.1", "DICM"]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path
            assert not [secret for secret in secrets if secret in path.name]


def test_a_run_keeps_no_header(run):
    assert config_of(run).window == "1000,2000"
    assert len(pd.read_csv(run / "predictions.csv")) == 12
    assert list((run / "errors").glob("*.png"))
    refuse_headers(run)


def test_new_files_are_predicted_and_explained_with_the_runs_window(run, data, tmp_path):
    out = tmp_path / "out"
    done = mura_run("predict", run, data / "p2", data / "p3", "--explain", "gradcam", "--out", out)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out / "predictions.csv")
    judged = pd.read_csv(run / "predictions.csv").set_index("path")["logit"]
    assert np.allclose(table["logit"], judged[["p2/IM0002", "p3/IM0003"]], atol=1e-4)
    assert "IM0002" in (out / "predictions.html").read_text()
    assert len(list((out / "heatmaps").rglob("*-overlay.png"))) == 2
    refuse_headers(out)


def test_a_saved_model_predicts_with_a_given_window(run, data):
    def logits(*options):
        done = mura_run("predict", "--model-file", run / "model.keras", data / "p3", *options)
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()[-1].split(",")[2]

    judged = pd.read_csv(run / "predictions.csv").set_index("path")["logit"]["p3/IM0003"]
    assert np.isclose(float(logits("--window", "1000,2000")), judged, atol=1e-4)
    assert not np.isclose(float(logits()), judged, atol=1e-4)
    refused(2, "--window '5' is not CENTRE,WIDTH", "predict", "--model-file", run / "model.keras",
            data / "p3", "--window", "5")  # fmt: skip
    refused(2, "--window needs --model-file", "predict", run, data / "p3", "--window", "5,6")


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_a_wrong_window_is_refused_before_the_work(data, tmp_path, command):
    out = ["--out", tmp_path / "run"] if command == "train" else []
    refused(2, "--window 'bone' is not CENTRE,WIDTH", command, "--data", data, "--size", 32,
            "--window", "bone", *out)  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_files_that_are_no_radiographs_are_listed(data, run, tmp_path):
    report = write_radiograph(tmp_path / "new" / "SR000001", [[0]], PixelData=None, Rows=None)
    good = tmp_path / "new" / "IM0003"
    good.write_bytes((data / "p3" / "IM0003").read_bytes())
    done = mura_run("predict", run, tmp_path / "new")
    assert f"{report} has no pixels (Digital X-Ray Image Storage" in done.stderr
    assert len(done.stdout.strip().splitlines()) >= 2


def test_files_without_suffix_are_found_in_folders_of_labels(tmp_path):
    for number in range(12):
        label = "positive" if number % 2 else "negative"
        split = "valid" if number % 4 > 1 else "train"
        folder = tmp_path / "data" / split / "XR_HAND" / f"p{number}" / f"study1_{label}"
        for name in ("IM0001", f"1.2.840.{number}"):
            write_radiograph(folder / name, np.eye(9) * number + 1)
        (folder / "README").write_text("no image")
    done = mura_run("prepare", "--data", tmp_path / "data", "--size", 9, "--verbose")
    assert "Prepared 24 images" in done.output, done.output
    assert "README" in done.output
