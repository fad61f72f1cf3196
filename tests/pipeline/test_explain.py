"""The step that explains, as a user asks for it: every method at once, measured against boxes."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_mura

from mura_core.data import read_manifest
from mura_core.report import distraction_in_words, method_in_words
from mura_core.runs import read_metrics
from mura_plugins.manager import load_plugins


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, Path, str]:
    """A small run, all of whose images are explained by every method."""
    folder = tmp_path_factory.mktemp("explained")
    data = write_mura(folder, patients=40)  # five abnormal ones validate
    table = read_manifest(data).table
    abnormal = table["path"][table["label"] == 1]
    # Where `write_mura` draws the bright square; and letters that were never drawn.
    boxes = "".join(f"{path},10,10,26,26\n" for path in abnormal)
    (data / "MURA-v1.1" / "boxes.csv").write_text("path,x0,y0,x1,y1\n" + boxes)
    letters = "".join(f"{path},40,32,48,40\n" for path in table["path"])
    (data / "MURA-v1.1" / "letters.csv").write_text("path,x0,y0,x1,y1\n" + letters)
    result = mura_run(
        "run", "--data", data, "--out", folder / "run", "--size", 64, "--epochs", 12,
        "--batch-size", 4, "--learning-rate", 0.003, "--explain", "gradcam", "--explain", "all",
        "--explain-images", "all",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "run", data, result.output


def test_every_method_that_applies_explains_every_image(run):
    folder, data, said = run
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    names = [offer.record.name for offer in load_plugins().explainers]
    # conv4 has no weights of features, which CAM is, and no map of cells.
    assert "cam can't explain this network: the network doesn't end in global average" in said
    assert "cells can't explain this network: the network has no layer named cells" in said
    applicable = [name for name in names if name not in ("cam", "cells")]
    assert table["explainer"].unique().tolist() == applicable
    valid = read_manifest(data).of(split="valid").table
    assert (table.groupby("explainer")["path"].nunique() == len(valid)).all()
    for name in ("map", "heatmap", "overlay"):
        assert all((folder / path).is_file() for path in table[name])
    looked_at = table.groupby("explainer")["layer"].first()
    assert looked_at["gradcam"] == "block5_relu"
    assert looked_at.isna().loc[["occlusion", "rise", "integrated-gradients", "smoothgrad"]].all()


def test_what_is_measured_is_said_everywhere(run):
    folder, data, said = run
    heatmaps = json.loads((folder / "metrics.json").read_text())["heatmaps"]
    valid = read_manifest(data).of(split="valid").table
    page = unescape((folder / "report.html").read_text())
    by = {one["explainer"]: one for one in heatmaps["methods"]}
    for method in ("gradcam", "occlusion", "rise"):
        assert by[method]["finding"]["count"] == valid["label"].sum()
        assert by[method]["letters"]["count"] == len(valid)
        assert by[method]["use"]["count"] == len(valid)
        assert by[method]["learning"]["count"] == 8
    scores = read_metrics(folder).heatmaps
    sentences = [method_in_words(one.explainer, one.groups) for one in scores.methods]
    for sentence in (*sentences, distraction_in_words(scores.distraction)):
        assert sentence in said
        assert sentence in page
    finding = by["occlusion"]["finding"]
    # The finding is always at the same place: a fixed mask knows it.
    assert finding["pointing"]["baselines"]["average_box"]["mean"] == 1
    assert 0 < finding["marked_share"] < 0.4
    assert by["occlusion"]["letters"]["heat_share"]["baselines"]["random"]["mean"] < 0.1
    # Each image's own measures stand in the table; normal images have no finding to mark.
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    occlusion = table[table["explainer"] == "occlusion"]
    assert occlusion["finding_pointing"].mean() == pytest.approx(finding["pointing"]["mean"])
    assert occlusion["finding_pointing"].notna().equals(occlusion["label"] == 1)
    assert occlusion["letters_heat_share"].notna().all()
    for name in ("deletion", "insertion", "road", "infidelity"):
        assert occlusion[name].mean() == pytest.approx(by["occlusion"]["use"][name]["mean"])
    for name in ("randomised", "max_sensitivity"):
        assert occlusion[name].notna().sum() == 8
        assert occlusion[name].mean() == pytest.approx(by["occlusion"]["learning"][name]["mean"])


def test_letters_are_painted_over_in_all_judged_images(run):
    folder, data, _ = run
    distraction = json.loads((folder / "metrics.json").read_text())["heatmaps"]["distraction"]
    valid = read_manifest(data).of(split="valid").table
    assert distraction["letters"] == "known"
    parts = {row["body_part"]: row["count"] for row in distraction["figures"]}
    assert parts == {"ALL": len(valid)} | valid["body_part"].value_counts().to_dict()
    table = pd.read_csv(folder / "heatmaps" / "letters.csv")
    assert set(table["path"]) == set(valid["path"])
    assert table["flips"].sum() == distraction["figures"][0]["flips"]
    flips = (table["probability"] >= 0.5) != (table["probability_without_letters"] >= 0.5)
    assert table["flips"].equals(flips)
    # Judged anew, the run keeps what was measured of its heatmaps.
    assert mura_run("evaluate", folder).exit_code == 0
    again = json.loads((folder / "metrics.json").read_text())["heatmaps"]["distraction"]
    assert again == distraction
    # Verdicts are those of the operating point by which it was judged last.
    between = (table["probability"] + table["probability_without_letters"]).iloc[0] / 2
    assert mura_run("evaluate", folder, "--operating-point", between).exit_code == 0
    again = json.loads((folder / "metrics.json").read_text())["heatmaps"]["distraction"]
    moved = pd.read_csv(folder / "heatmaps" / "letters.csv")
    flips = (moved["probability"] >= between) != (moved["probability_without_letters"] >= between)
    assert moved["flips"].equals(flips)
    assert flips[0]
    assert again["figures"][0]["flips"] == flips.sum()
    assert again["figures"][0]["score"] == distraction["figures"][0]["score"]
    assert mura_run("evaluate", folder, "--operating-point", "0.5").exit_code == 0


def test_the_images_can_be_listed(run, tmp_path):
    folder, data, _ = run
    paths = read_manifest(data).of(split="valid").table["path"].tolist()
    listed = tmp_path / "mine.txt"
    listed.write_text(f"{paths[3]}\n{paths[1]}\n\n{paths[3]}\n")
    result = mura_run("explain", folder, "--explain", "gradcam", "--explain-images", listed)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    assert table["path"].tolist() == [paths[3], paths[1]]
    for content, message in (
        ("elbow.png\n", "mine.txt: elbow.png is not one of the run's judged images"),
        ("\n", "mine.txt: lists no image"),
    ):
        listed.write_text(content)
        refused = mura_run("explain", folder, "--explain", "gradcam", "--explain-images", listed)
        assert refused.exit_code == 1
        assert message in refused.output
    for wrong in ("none", "0", "-3"):
        refused = mura_run("explain", folder, "--explain", "gradcam", "--explain-images", wrong)
        assert refused.exit_code == 2, wrong
        assert f"--explain-images '{wrong}' is not a number above 0" in refused.output


def test_other_methods_and_layers_can_be_asked_for_afterwards(run):
    folder, _, _ = run
    result = mura_run(
        "explain", folder, "--explain", "layercam", "--layer", "block3_relu", "--explain-images", 3
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    assert table["layer"].tolist() == ["block3_relu"] * 3
    assert np.load(folder / table["map"][0]).shape == (16, 16)
    refused = mura_run("explain", folder, "--explain", "gradcam", "--layer", "block9")
    assert refused.exit_code == 2
    assert "the network has no layer 'block9'. It has" in refused.output
    refused = mura_run("explain", folder, "--explain", "cam")
    assert refused.exit_code == 2
    assert "none of cam can explain this network" in refused.output


def test_a_damaged_table_of_boxes_is_one_line(run):
    folder, data, _ = run
    boxes = data / "MURA-v1.1" / "boxes.csv"
    kept = boxes.read_text()
    boxes.write_text("path,x0,y0\n")
    try:
        refused = mura_run("explain", folder, "--explain", "gradcam")
    finally:
        boxes.write_text(kept)
    assert refused.exit_code == 1
    assert "boxes.csv: has no column 'x1'" in refused.output
