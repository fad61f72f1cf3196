"""Data sets as they are published, and boxes in COCO's format."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_sets import write_image

from mura_core.data import FINDINGS, Box, Reading, prepare, read_boxes, read_manifest
from mura_core.errors import DataError
from mura_core.imaging import Square

PIXELS = np.full((8, 10), 100, np.uint8)
FRACATLAS = (
    "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,"
    "lateral,oblique"
)
GRAZ = (
    "filestem,patient_id,study_number,timehash,gender,age,laterality,projection,initial_exam,"
    "ao_classification,cast,diagnosis_uncertain,osteopenia,fracture_visible,metal,pixel_spacing,"
    "device_manufacturer"
)


def fracatlas(root: Path, count: int = 20) -> Path:
    """Write a small data set as FracAtlas is published."""
    lines, images, boxes = [FRACATLAS], [], []
    for n in range(count):
        name, fractured = f"IMG{n:07}.jpg", int(n % 4 == 0)
        parts = [int(n % 5 == part) for part in range(5)]
        lines.append(f"{name},{','.join(map(str, parts))},0,0,{fractured},{fractured},1,0,0")
        folder = "Fractured" if fractured else "Non_fractured"
        write_image(root / "images" / folder / name, PIXELS)
        if fractured:
            images.append({"id": n, "file_name": name, "width": 10, "height": 8})
            boxes.append({"id": n, "image_id": n, "category_id": 1, "bbox": [1.5, 2, 3, 4]})
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    annotations = root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps({"images": images, "annotations": boxes, "categories": []}))
    split = root / "Utilities" / "Fracture Split"
    split.mkdir(parents=True)
    (split / "train.csv").write_text("image_id\nIMG0000000.jpg\n")
    return root


@pytest.mark.parametrize("above", ["", "FracAtlas"])
def test_fracatlas_is_read_with_its_boxes(tmp_path, above):
    fracatlas(tmp_path / above)
    manifest = read_manifest(tmp_path)
    assert manifest.layout == "fracatlas"
    table = manifest.table.assign(n=manifest.table["patient"].str[-2:].astype(int)).sort_values("n")
    assert table["label"].tolist() == [int(n % 4 == 0) for n in range(20)]
    expected = ["hand", "leg", "hip", "shoulder", "mixed"] * 4
    assert table["body_part"].tolist() == expected
    assert all((manifest.folder / path).is_file() for path in table["path"])
    boxes = read_boxes(manifest.of(["hand"]), FINDINGS)
    assert boxes == {f"images/Fractured/IMG{0:07}.jpg": [Box(1.5, 2, 4.5, 6)]}
    assert len(read_boxes(manifest, FINDINGS)) == 5


def test_an_image_that_fracatlas_lists_twice_or_badly_is_refused(tmp_path):
    root = fracatlas(tmp_path)
    write_image(root / "images" / "All" / "IMG0000001.jpg", PIXELS)
    with pytest.raises(
        DataError, match=r"line 3: 'IMG0000001\.jpg' may be All/.*or Non_fractured/"
    ):
        read_manifest(root)


def graz(root: Path) -> Path:
    """Write a small data set as GRAZPEDWRI-DX is published: 16-bit PNG in several folders."""
    lines = [GRAZ]
    for n in range(24):
        stem = f"{n // 2:04}_{1297860395 + n}_0{n % 2 + 1}_WRI-L1_M014"
        visible = "1" if n % 4 < 2 else ""
        lines.append(
            f'{stem},{n // 2},{n % 2 + 1},{1297860395 + n},M,14,L,1,1,"23r-M/2.1;23u-E/7",,,,'
            f"{visible},,0.144,Agfa"
        )
        folder = root / f"images_part{n % 3 + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"{stem}.png", np.full((6, 6), 257 * n, np.uint16))
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    return root


def test_grazpedwri_is_read_with_its_patients(tmp_path):
    manifest = read_manifest(graz(tmp_path / "data"))
    assert manifest.layout == "grazpedwri-dx"
    table = manifest.table
    assert table.groupby("patient").size().tolist() == [2] * 12
    assert not table[["patient", "split"]].drop_duplicates()["patient"].duplicated().any()
    assert table["label"].sum() == 12
    assert set(table["body_part"]) == {"wrist"}
    assert set(table["study"]) == {"1", "2"}
    prepared = prepare(manifest, tmp_path / "cache", Square(4))
    assert sorted(prepared.images[:, 0, 0].tolist()) == list(range(24))


def bone_ages(root: Path, **columns: list[str]) -> Path:
    table = pd.DataFrame({"id": range(1377, 1389), "boneage": 100, "male": True} | columns)
    for number in table["id"]:
        write_image(root / "boneage-training-dataset" / f"{number}.png", PIXELS)
    table.to_csv(root / "boneage-training-dataset.csv", index=False)
    return root


def test_bone_ages_need_a_column_of_labels(tmp_path):
    data = bone_ages(tmp_path)
    for path in (data, data / "boneage-training-dataset.csv"):
        with pytest.raises(DataError, match=r"bone ages, which are no labels; .*--columns label="):
            read_manifest(path)
    data = bone_ages(tmp_path, dysplasia=["yes", "no"] * 6)
    for path in (data, data / "boneage-training-dataset.csv"):
        manifest = read_manifest(path, reading=Reading("label=dysplasia"))
        assert manifest.layout == "bone-age"
        assert manifest.table["label"].sum() == 6
        assert set(manifest.table["body_part"]) == {"hand"}
        assert (manifest.table["patient"] == manifest.table["path"].str[-8:-4]).all()
        assert all((manifest.folder / image).is_file() for image in manifest.table["path"])


def test_bone_ages_with_columns_of_their_own_are_read_by_them(tmp_path):
    pids = [f"p{n // 2}" for n in range(12)]
    data = bone_ages(tmp_path, label=["yes", "no"] * 6, patient=pids, body_part=["wrist"] * 12)
    table = read_manifest(data).table
    assert sorted(table["patient"]) == sorted(pids)
    assert set(table["body_part"]) == {"wrist"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold an object"),
        ('{"images": []}', "needs 'images' with 'id' and 'file_name'"),
        ('{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}', "KeyError: 1"),
        (
            '{"images": [{"id": 1, "file_name": "IMG0000000.jpg"}],'
            ' "annotations": [{"image_id": 1, "bbox": [0, 0, 1]}]}',
            "is not in COCO's format",
        ),
        (
            '{"images": [{"id": 1, "file_name": "IMG0000000.jpg"}],'
            ' "annotations": [{"image_id": 1, "bbox": [0, 0, 0, 1]}]}',
            r"IMG0000000\.jpg: .* is not a box",
        ),
    ],
)
def test_annotations_that_are_not_coco_are_refused(tmp_path, content, message):
    root = fracatlas(tmp_path)
    (root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_boxes(read_manifest(root), FINDINGS)


def test_boxes_of_coco_belong_to_the_file_whose_path_they_end(tmp_path):
    names = ["a/1.png", "b/1.png", "b/2.png", "elsewhere/9.png"]
    rows = [(name, "H", name, "s", n % 2) for n, name in enumerate(names[:3] * 1)]
    table = pd.DataFrame(rows, columns=["path", "body_part", "patient", "study", "label"])
    table.assign(split=["train", "train", "valid"]).to_csv(tmp_path / "i.csv", index=False)
    manifest = read_manifest(tmp_path / "i.csv")
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [{"image_id": n, "bbox": [n, 0, 1, 1]} for n in range(4)],
    }
    coco = tmp_path / "coco.json"
    coco.write_text(json.dumps(content))
    boxes = read_boxes(manifest, FINDINGS, coco)
    assert boxes == {name: [Box(n, 0, n + 1, 1)] for n, name in enumerate(names[:3])}
    content["images"][0]["file_name"] = "1.png"
    coco.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'1\.png' may be a/1\.png or b/1\.png"):
        read_boxes(manifest, FINDINGS, coco)
