"""New images by a run: predicted, judged and explained as the run was."""

import json
import os
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import mura_run, refused
from data_sets import write_image, write_mura
from PIL import Image
from run_results import predicted, thresholds

from mura_core.data import read_manifest
from mura_core.evaluation import at_level
from mura_core.imaging import Square, resize
from mura_core.inference import load_model
from mura_core.runs import judge_run
from mura_plugins.interpretation.gradcam import explain as gradcam
from mura_plugins.network import Network

SMALL = ("--size", "32", "--epochs", "2", "--seed", "5")
COLUMNS = [
    "path", "study", "logit", "probability", "verdict", "study_probability", "study_verdict",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_mura(tmp_path_factory.mktemp("data"), patients=48)


def trained(folder: Path, data: Path, *options: object) -> Path:
    result = mura_run("train", "--data", data, "--out", folder, *SMALL, *options)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def split(data: Path, tmp_path_factory) -> Path:
    """A run on the data's own split, for which everything was chosen that can be."""
    return trained(
        tmp_path_factory.mktemp("runs") / "split", data,
        "--operating-point", "youden", "--calibrate", "isotonic", "--study-score", "noisy-or",
        "--average-flips",
    )  # fmt: skip


def test_what_lies_between_two_points_is_uncertain(split: Path, data: Path, tmp_path: Path):
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(split, run)
    low, high = pd.read_csv(split / "predictions.csv")["probability"].quantile([0.3, 0.7])
    rule = f"{low},{high}"
    again = mura_run(
        "evaluate", run, "--operating-point", rule, "--calibrate", "none", "--study-score", "mean"
    )
    assert again.exit_code == 0, again.output
    metrics = json.loads((run / "metrics.json").read_text())
    points = {row["level"]: row for row in metrics["operating_points"]}
    image = next(row for row in metrics["figures"] if row["level"] == "image")
    root = read_manifest(data).folder
    result = mura_run("predict", run, root / "valid", "--explain", "gradcam", "--out", out)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "predictions.csv")
    for level, prefix in (("image", ""), ("study", "study_")):
        low, high = (points[level][name] for name in ("normal_below", "threshold"))
        probability = table[f"{prefix}probability"]
        expected = np.select([probability >= high, probability < low], ["abnormal", "normal"],
                             "uncertain")  # fmt: skip
        assert table[f"{prefix}verdict"].tolist() == expected.tolist()
    assert set(table["verdict"]) >= {"uncertain"}
    assert image["uncertain"] == (table["verdict"] == "uncertain").sum()
    errors = pd.read_csv(run / "errors.csv")
    assert len(errors) == image["false_positives"] + image["false_negatives"]
    assert f"normal below {low:.3g}, uncertain between)" in again.output
    assert "uncertain share" in again.output
    assert "There are two operating points" in (run / "report.html").read_text()
    page = " ".join((out / "predictions.html").read_text().split())
    assert "An image is called normal below" in page


@pytest.fixture(scope="module")
def folds(data: Path, tmp_path_factory) -> Path:
    return trained(
        tmp_path_factory.mktemp("runs") / "folds", data, "--validate", "kfold", "--folds", "2",
        "--operating-point", "youden", "--calibrate", "temperature", "--study-score", "max",
    )  # fmt: skip


# As it was judged -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "judged_by",
    [
        (),
        ("--operating-point", "0.5", "--calibrate", "none", "--study-score", "mean"),
        ("--operating-point", "sensitivity=0.9", "--calibrate", "temperature"),
    ],
)
def test_the_judged_images_have_the_judged_probabilities_and_verdicts(
    split: Path, data: Path, judged_by: tuple[str, ...], tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(split, run)
    if judged_by:
        assert mura_run("evaluate", run, *judged_by).exit_code == 0
    judgement = judge_run(run)
    root = read_manifest(data).folder
    table = predicted(run, root / "valid")
    assert list(table) == COLUMNS
    judged = judgement.predictions.set_index(str(root) + "/" + judgement.predictions["path"])
    assert set(table["path"]) == set(judged.index)
    own = judged.loc[table["path"]]
    # To the last bit.
    assert table["probability"].tolist() == own["probability"].tolist()
    np.testing.assert_array_equal(table["logit"].astype(np.float32), own["logit"])
    (point,) = thresholds(run, "image")
    assert (table["verdict"] == "abnormal").tolist() == (own["probability"] >= point).tolist()
    units = at_level(judgement.predictions, "study", judgement.study_score)
    (point,) = thresholds(run, "study")
    keys = judgement.predictions.groupby(["body_part", "patient", "study"]).first()
    for (part, patient, study), probability in zip(keys.index, units["probability"], strict=True):
        (folder,) = (root / "valid" / part / patient).glob(f"{study}*")
        rows = table[table["study"] == str(folder)]
        assert set(rows["study_probability"]) == {probability}
        assert set(rows["study_verdict"]) == {"abnormal" if probability >= point else "normal"}


def test_the_image_that_the_operating_point_was_chosen_at_is_called_abnormal(
    split: Path, data: Path
):
    tuning = pd.read_csv(split / "tuning.csv")
    root = read_manifest(data).folder
    table = predicted(split, *(root / path for path in tuning["path"]))
    (point,) = thresholds(split, "image")
    assert point in set(table["probability"])
    assert set(table["verdict"][table["probability"] == point]) == {"abnormal"}


def test_folds_are_averaged(folds: Path, data: Path):
    studies = read_manifest(data).folder / "valid" / "XR_ELBOW"
    table = predicted(folds, studies).set_index("path")
    temperatures = json.loads((folds / "metrics.json").read_text())["temperatures"]
    logits = {}
    for fold in ("1", "2"):
        model = folds / "folds" / fold / "model.keras"
        logits[fold] = predicted("--model-file", model, studies).set_index("path")["logit"]
    logits = {fold: own.loc[table.index].to_numpy() for fold, own in logits.items()}
    mean = np.mean([1 / (1 + np.exp(-logits[f] / temperatures[f])) for f in logits], axis=0)
    np.testing.assert_allclose(table["probability"], mean, rtol=1e-6)
    uncalibrated = np.mean([1 / (1 + np.exp(-own)) for own in logits.values()], axis=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-table["logit"])), uncalibrated, rtol=1e-6)
    highest = table.groupby("study")["probability"].transform("max")
    np.testing.assert_array_equal(table["study_probability"], highest)
    for level, prefix in (("image", ""), ("study", "study_")):
        points = thresholds(folds, level)
        assert len(points) == 2
        abnormal = table[f"{prefix}probability"] >= np.mean(points)
        assert ((table[f"{prefix}verdict"] == "abnormal") == abnormal).all()


def test_what_cannot_be_read_is_left_out_and_the_table_goes_to_a_file(
    split: Path, data: Path, tmp_path: Path
):
    new, out = tmp_path / "new", tmp_path / "table.csv"
    shutil.copytree(read_manifest(data).folder / "valid" / "XR_ELBOW", new)
    first = sorted(new.rglob("*.png"))[0]
    shutil.copy(first, os.fsencode(new) + b"/h\xe9.png")
    first.write_bytes(b"")
    result = mura_run("predict", split, new, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{first} is empty" in result.stderr
    assert result.stdout == ""
    table = pd.read_csv(out)
    assert list(table) == COLUMNS
    # A name that isn't UTF-8 is escaped.
    assert f"{new}/h\\udce9.png" in table["path"].tolist()
    assert len(table) == len(list(new.rglob("*.png"))) - 1


def test_what_is_not_an_image_is_said_in_one_line_and_listed(
    split: Path, data: Path, tmp_path: Path
):
    new, out = tmp_path / "new", tmp_path / "out"
    study = read_manifest(data).folder / "valid" / "XR_ELBOW"
    shutil.copytree(next(path for path in study.iterdir()), new)
    for number in range(30):
        (new / f"note{number:02}.txt").touch()
        (new / f"._{number}.png").touch()
    (new / "loop").symlink_to(".")
    (new / "gone.png").symlink_to("nowhere")
    result = mura_run("predict", split, new, "--explain", "gradcam", "--out", out)
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(out / "predictions.csv")) == 2
    assert f"Left out: 1 file: {new}/gone.png leads to a missing file" in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Left out: 30 files: ")]
    assert len(lines) == 2
    assert all(line.endswith(" and 27 more") for line in lines)
    assert f"listed in {out}/left_out.csv" in result.stderr
    assert len(pd.read_csv(out / "left_out.csv")) == 62
    page = " ".join((out / "predictions.html").read_text().split())
    assert "62 files were left out" in page
    assert "is not a supported image format (.txt) (30 files)" in page
    verbose = mura_run("predict", split, new, "--verbose")
    assert f"Left out: {new}/note29.txt is not a supported image format (.txt)" in verbose.stderr
    assert len(predicted(split, new)) == 2  # nothing else is on standard output


# Runs that can't be used ------------------------------------------------------------------------


def test_a_run_that_cannot_be_used_is_refused_by_name(
    split: Path, folds: Path, data: Path, tmp_path: Path
):
    images = read_manifest(data).folder / "valid"
    refused(2, f"{images} is not a run folder (it has no config.yaml)", "predict", images)
    refused(2, f"name images after the run {split}", "predict", split)
    refused(2, "a run: name its folder", "predict", "--model-file", split / "model.keras",
            "--explain", "gradcam", images)  # fmt: skip
    refused(
        2,
        "a run averages mirror images if it was trained with --average-flips",
        "predict",
        split,
        images,
        "--flip",
    )
    refused(2, "is a folder; name a file", "predict", split, images, "--out", tmp_path)

    run = tmp_path / "run"
    shutil.copytree(folds, run)
    (run / "folds" / "2" / "model.keras").unlink()
    refused(1, f"{run}/folds/2/model.keras: no such model file", "predict", run, images)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"version": 1}))
    refused(1, f"{run}: was evaluated by another version of mura-run", "predict", run, images)
    (run / "metrics.json").unlink()
    refused(1, f"{run}/metrics.json: no such file; evaluate the run", "predict", run, images)


def test_a_network_that_gives_one_answer_is_refused(split: Path, data: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(split, run)
    table = pd.read_csv(run / "predictions.csv").assign(logit=0.25)
    table.to_csv(run / "predictions.csv", index=False)
    refused(1, f"{run}: the network gives every image the same answer", "predict", run, data)


# Heatmaps ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(data: Path, tmp_path_factory) -> Path:
    """A folder of images whose names need quoting, one of which isn't an image."""
    folder = tmp_path_factory.mktemp("odd") / "a <b>&#%"
    root = read_manifest(data).folder
    paths = sorted((root / "valid" / "XR_ELBOW").rglob("*.png"))
    folder.mkdir()
    for path, name in zip(paths, ("it's.png", "a#1.png", "50%.png"), strict=False):
        shutil.copy(path, folder / name)
    shutil.copy(paths[3], folder / "a-1.png")
    (folder / "<i>.png").write_text("no image")
    return folder


def test_new_images_are_explained(folds: Path, odd: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ("predict", folds, odd, "--explain", "gradcam", "--explain", "occlusion")
    result = mura_run(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert str(out / "predictions.html") in result.output
    table = pd.read_csv(out / "predictions.csv")
    assert list(table) == COLUMNS
    assert len(table) == 4
    heatmaps = pd.read_csv(out / "heatmaps" / "heatmaps.csv")
    assert heatmaps.groupby("explainer").size().to_dict() == {"gradcam": 4, "occlusion": 4}
    # The run has no heatmaps: the scale is that of these images.
    assert set(heatmaps["scale_of"]) == {"images"}
    networks = [Network(load_model(folds / "folds" / f / "model.keras")) for f in ("1", "2")]
    for row in heatmaps[heatmaps["explainer"] == "gradcam"].to_dict("records"):
        with Image.open(row["path"]) as picture:
            pixels = resize(np.asarray(picture), Square(32))
            size = picture.size
        maps = [gradcam(network, pixels[None], toward=1, seed=5)[0] for network in networks]
        np.testing.assert_allclose(
            np.load(out / row["map"]), np.mean(maps, axis=0), rtol=1e-4, atol=1e-6
        )
        with Image.open(out / row["overlay"]) as overlay:
            assert overlay.size == size
    assert json.loads((out / heatmaps["map"][0]).with_suffix(".json").read_text())["path"]

    page = (out / "predictions.html").read_text()
    for said in (
        "Not a medical device, and no substitute for a radiologist",
        "Mean of the run's 2 networks",
        "These images have the same scale, because the run has no heatmaps to compare with",
        "calibrated (temperature)",
        f".../{odd.name}/it's.png",
        f".../{odd.name}/<i>.png: is not an image",
    ):
        assert said in " ".join(unescape(page).split()), said
    assert "<i>" not in page
    assert "<b>" not in page
    for overlay in heatmaps["overlay"]:
        assert f'src="{overlay}"' in page  # nothing in it needs quoting
    assert "intervals below" not in page


def test_the_scale_is_the_runs_own_where_it_has_heatmaps(split: Path, data: Path, tmp_path: Path):
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(split, run)
    explained = mura_run("explain", run, "--explain", "gradcam", "--explain-images", "2")
    assert explained.exit_code == 0, explained.output
    (scale,) = set(pd.read_csv(run / "heatmaps" / "heatmaps.csv")["scale"])
    images = read_manifest(data).folder / "valid" / "XR_WRIST"
    result = mura_run("predict", run, images, "--explain", "gradcam", "--out", out)
    assert result.exit_code == 0, result.output
    heatmaps = pd.read_csv(out / "heatmaps" / "heatmaps.csv")
    np.testing.assert_allclose(heatmaps["scale"], scale)
    assert set(heatmaps["scale_of"]) == {"run"}
    page = " ".join((out / "predictions.html").read_text().split())
    assert "The scale is that of the run" in page
    refused(2, "is not empty; name a new folder", "predict", run, images, "--explain", "gradcam",
            "--out", out)  # fmt: skip
    refused(2, "--explain needs --out FOLDER", "predict", run, images, "--explain", "gradcam")
    refused(2, "--explain 'magic' is not one of cam", "predict", run, images, "--explain", "magic",
            "--out", tmp_path / "other")  # fmt: skip


def test_a_layer_that_the_network_lacks_is_named(split: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(split, run)
    config = yaml.safe_load((run / "config.yaml").read_text()) | {"layer": "none_such"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    write_image(tmp_path / "a.png", np.zeros((40, 40), np.uint8))
    refused(2, "--layer none_such: ", "predict", run, tmp_path / "a.png", "--explain", "gradcam",
            "--out", tmp_path / "out")  # fmt: skip
