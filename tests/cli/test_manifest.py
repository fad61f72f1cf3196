"""`mura-run manifest` shows how data is read, and writes it to be edited and given back."""

import json

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from data_sets import write_image

from mura_core.data import FINDINGS, Reading, read_boxes, read_manifest


def shown(*arguments: object) -> str:
    done = mura_run("manifest", *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_ten_images_and_the_counts_are_shown(mura):
    output = shown(mura, "--check")
    assert "read as mura" in output
    rows = [line for line in output.splitlines() if ".png" in line]
    assert len(rows) == 10
    table = read_manifest(mura).table
    assert rows[0].split() == [str(value) for value in table.iloc[0]]
    assert rows[-1].split() == [str(value) for value in table.iloc[-1]]
    whole = next(line for line in output.splitlines() if line.split()[:3] == ["train", "ALL", "0"])
    images = ((table["split"] == "train") & (table["label"] == 0)).sum()
    assert whole.split()[3] == str(images)
    assert shown(mura) == output


def test_what_is_written_is_read_back_the_same(own_mura):
    expected = read_manifest(own_mura).table
    out = own_mura / "images.csv"
    assert f"mura-run --data {out}\n" in shown(own_mura, "--out", out)
    table = read_manifest(out).table
    assert (table["path"] == "MURA-v1.1/" + expected["path"]).all()
    assert table.drop(columns="path").equals(expected.drop(columns="path"))


def test_outside_the_data_paths_are_absolute_and_that_is_said(mura, tmp_path):
    out = tmp_path / "images.csv"
    assert f"--data {out} --allow-outside" in shown(mura, "--out", out)
    refused(1, "--allow-outside allows other folders", "prepare", "--data", out)
    manifest = read_manifest(out, reading=Reading(allow_outside=True))
    assert all((manifest.folder / path).is_file() for path in manifest.table["path"])
    assert "108 of 108 images are outside" in shown(out, "--allow-outside")


def test_without_a_split_none_is_written_and_a_run_deals_it(tmp_path):
    rows = [(f"{n}.png", "H", f"p{n}", "s", n % 2) for n in range(10)]
    names = ["path", "body_part", "patient", "study", "label"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "a.csv", index=False)
    output = shown(tmp_path / "a.csv", "--out", tmp_path / "b.csv")
    assert "names no split: a run deals a fifth" in output
    assert "10 of 10 images are missing" in mura_run("manifest", tmp_path / "a.csv").stderr
    assert list(pd.read_csv(tmp_path / "b.csv")) == names
    assert read_manifest(tmp_path / "b.csv").table.equals(read_manifest(tmp_path / "a.csv").table)


def test_boxes_of_coco_are_written_next_to_the_images(tmp_path):
    for name in ("broken/1.png", "whole/2.png"):
        write_image(tmp_path / "data" / name, np.zeros((8, 8), np.uint8))
    coco = tmp_path / "coco.json"
    content = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    coco.write_text(json.dumps(content))
    out = tmp_path / "images.csv"
    output = shown(tmp_path / "data", "--positive", "broken", "--coco", coco, "--out", out)
    assert "Boxes of findings: 1, in 1 images." in output
    manifest = read_manifest(out, split=False)
    assert read_boxes(manifest, FINDINGS) == {"data/broken/1.png": [(1, 2, 4, 6)]}
    refused(2, "images.csv exists", "manifest", tmp_path / "data", "--out", out)
    out.unlink()
    refused(2, "boxes.csv exists", "manifest", out.parent / "data", "--coco", coco, "--out", out)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--check", "--out", "x.csv"), 2, "--check only prints"),
        (("--out", "nowhere/x.csv"), 2, "there is no folder nowhere"),
        (("--columns", "path=file"), 1, "--columns is for a CSV file"),
    ],
)
def test_what_cant_be_done_is_refused(mura, arguments, status, message):
    refused(status, message, "manifest", mura, *arguments)
