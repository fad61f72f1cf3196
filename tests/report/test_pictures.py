"""The pictures of a report are part of its file, at the size of a screen."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_cases import COLUMNS, draw_heatmaps, page_of, write_run

from mura_core.files import write_csv
from mura_core.pipeline import write_report


def two_images(folder: Path) -> Path:
    rows = [
        (f"p{label}/i.png", "HAND", f"p{label}", "s", label, "valid", 0, 0.9 - label / 10)
        for label in (0, 1)
    ]
    return write_run(folder, pd.DataFrame(rows, columns=COLUMNS))


def explain(run: Path, *, methods: tuple[str, ...] = ("gradcam",)) -> list[Path]:
    table = pd.read_csv(run / "predictions.csv")
    drawn = [draw_heatmaps(run, run.parent / "data", table, name) for name in methods]
    write_csv(run / "heatmaps" / "heatmaps.csv", pd.concat(drawn))
    return [run / path for one in drawn for path in one["overlay"]]


def images(run: Path) -> list[Image.Image]:
    """Return the JPEG images of a page, decoded."""
    start = "data:image/jpeg;base64,"
    found = [link for link in page_of(run).found if link.startswith(start)]
    return [Image.open(io.BytesIO(base64.b64decode(link[len(start) :]))) for link in found]


@pytest.mark.parametrize(
    ("side", "shown"),
    [
        ((1000, 500), (640, 320)),
        ((300, 2400), (80, 640)),
        ((640, 640), (640, 640)),
        ((9, 5), (9, 5)),
    ],
)
def test_a_picture_is_embedded_at_the_size_of_a_screen(tmp_path, side, shown):
    run = two_images(tmp_path)
    ramp = np.linspace(0, 255, side[0], dtype=np.uint8)[None, :, None]
    picture = np.broadcast_to(ramp, (side[1], side[0], 3)) // np.uint8([1, 2, 4])
    for path in explain(run):
        Image.fromarray(picture).save(path)
    write_report(run)
    sheet, *overlays = images(run)
    assert sheet.size == Image.open(run / "errors" / "HAND.png").size
    assert [one.size for one in overlays] == [shown, shown]
    expected = np.asarray(Image.fromarray(picture).resize(shown, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(overlays[0], float) - expected).mean() < 3
    words = page_of(run).words
    assert "All pictures are part of this page. It contains radiographs: send it only" in words


def test_pictures_that_do_not_fit_are_linked_and_counted(tmp_path, monkeypatch):
    run = two_images(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    overlays = explain(run, methods=("gradcam", "rise"))
    for path in overlays:
        Image.fromarray(noise).save(path)
    write_report(run)
    sizes = [len(one.fp.getvalue()) for one in images(run)]
    assert len(sizes) == 5
    monkeypatch.setattr("mura_core.report.pictures.MOST_BYTES", sum(sizes[:3]))
    write_report(run)
    assert [len(one.fp.getvalue()) for one in images(run)] == sizes[:3]
    assert "2 of 5 pictures are not part of this page" in page_of(run).words
    sources = [element["src"] for tag, element in page_of(run).elements if tag == "img"]
    assert [one for one in sources if not one.startswith("data:")] == [
        str(path.relative_to(run)) for path in overlays[2:]
    ]


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_picture_that_cannot_be_read_is_linked(tmp_path, damage):
    run = two_images(tmp_path)
    path = explain(run)[0]
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-30], "text": b"not a picture"}.get(damage, b""))
    if damage == "missing":
        path.unlink()
    write_report(run)
    assert len(images(run)) == 2
    page = page_of(run)
    assert "1 of 3 pictures are not part of this page" in page.words
    assert str(path.relative_to(run)) in page.found


def test_a_page_of_large_pictures_is_small(tmp_path):
    # The worst case: noise, which JPEG can't compress.
    run = two_images(tmp_path)
    paths = explain(run)
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    for path in paths:
        Image.fromarray(noise).save(path)
    table = pd.read_csv(run / "heatmaps" / "heatmaps.csv")
    for number in range(90):
        (paths[0].parent / f"{number}.png").hardlink_to(paths[0])
    names = [f"heatmaps/gradcam/{number}.png" for number in range(90)]
    many = pd.concat([table] * 45, ignore_index=True).assign(overlay=names)
    write_csv(run / "heatmaps" / "heatmaps.csv", many)
    write_report(run)
    assert 15e6 < (run / "report.html").stat().st_size < 25e6
    assert "are not part of this page" in page_of(run).words
