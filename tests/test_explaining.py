"""The step that explains, as a user asks for it: every method at once, measured against boxes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from data_sets import write_mura

from mura_core.cli import main
from mura_core.manifest import read_manifest
from mura_plugins.manager import load_plugins


def mura_run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, Path, str]:
    """A small run, all of whose images are explained by every method."""
    folder = tmp_path_factory.mktemp("explained")
    data = write_mura(folder)
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
        "--explain-images", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "run", data, result.output


def test_every_method_that_applies_explains_every_image(run):
    folder, data, said = run
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    names = [offer.record.name for offer in load_plugins().explainers]
    # conv4 has no weights of features, which CAM is.
    assert "cam can't explain this network: the network doesn't end in global average" in said
    assert table["explainer"].unique().tolist() == [name for name in names if name != "cam"]
    valid = read_manifest(data).of(split="valid").table
    assert (table.groupby("explainer")["path"].nunique() == len(valid)).all()
    for name in ("map", "heatmap", "overlay"):
        assert all((folder / path).is_file() for path in table[name])
    looked_at = table.groupby("explainer")["layer"].first()
    assert looked_at["gradcam"] == "block5_relu"
    assert looked_at.isna().loc[["occlusion", "rise", "integrated-gradients", "smoothgrad"]].all()


def test_what_is_measured_is_said_everywhere(run):
    folder, data, said = run
    measures = json.loads((folder / "heatmaps" / "measures.json").read_text())["measures"]
    valid = read_manifest(data).of(split="valid").table
    page = (folder / "report.html").read_text()
    by = {(one["explainer"], one["region"]): one for one in measures}
    for method in ("gradcam", "occlusion", "rise"):
        assert by[method, "finding"]["count"] == valid["label"].sum()
        assert by[method, "letters"]["count"] == len(valid)
    for one in measures:
        assert one["in_words"] in said
        assert one["in_words"].split(" (")[0] in page
    finding = by["occlusion", "finding"]["pointing"]
    # The finding is always at the same place: a fixed mask knows it.
    assert finding["fixed"]["average_box"]["mean"] == 1
    assert by["occlusion", "letters"]["heat_share"]["fixed"]["random"]["mean"] < 0.1
    # Each image's own measures stand in the table; normal images have no finding to mark.
    table = pd.read_csv(folder / "heatmaps" / "heatmaps.csv")
    occlusion = table[table["explainer"] == "occlusion"]
    assert occlusion["finding_pointing"].mean() == pytest.approx(finding["mean"])
    assert occlusion["finding_pointing"].notna().equals(occlusion["label"] == 1)
    assert occlusion["letters_heat_share"].notna().all()


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
