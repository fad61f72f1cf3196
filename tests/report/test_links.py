"""Every link of a page leads to a file that is there, whatever images and parts are called."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from PIL import Image
from report_cases import COLUMNS, Page, draw_heatmaps, page_of, write_run

from mura_core.evaluation import OperatingPoint
from mura_core.files import write_csv
from mura_core.pipeline import write_report
from mura_core.report import Using, predictions_page
from mura_core.runs import read_predictions

NAMES = [
    "plain", "a#b", "100%41", "what?", "two words", 'quo"ted', "it's", "a&amp;b", "<b>", "ä€𝄞",
    "semi;colon=1", "a:b", "+", "a-b", "x" * 120,
]  # fmt: skip
# Two that differ in what a file name can't hold.
NAME = "odd #1?"
PARTS = [*NAMES, "HAND/left", "HAND-left", "..", "."]


def check_links(page: Path) -> Page:
    links = Page(page.read_text(encoding="utf-8"))
    files = [link for link in links.found if not link.startswith(("data:", "#"))]
    assert len(set(links.ids)) == len(links.ids)
    assert {link[1:] for link in links.found if link.startswith("#")} <= set(links.ids)
    assert files
    for link in files:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", ""), link
        with Image.open(page.parent / unquote(parts.path)) as image:
            assert image.width > 0
    return links


@pytest.fixture
def judged(tmp_path) -> Path:
    """A run folder with predictions of oddly named images, half of them wrong."""
    rows = []
    for number, part in enumerate(PARTS):
        for label in (0, 1):
            name = NAMES[number % len(NAMES)]
            path = f"{name} {number}/{name}{label}.png"
            probability = 0.9 - 0.01 * number if number % 2 else 0.1 + 0.01 * number
            rows.append((path, part, f"p{number}-{label}", name, label, "valid", 0, probability))
    return write_run(tmp_path, pd.DataFrame(rows, columns=COLUMNS))


def test_every_link_of_a_report_leads_to_a_file(judged):
    run, table = judged, read_predictions(judged)
    drawn = draw_heatmaps(run, run.parent / "data", table, NAME)
    write_csv(run / "heatmaps" / "heatmaps.csv", drawn)
    write_report(run)
    links = check_links(run / "report.html")
    assert len({link for link in links.found if link.startswith("errors/")}) == len(PARTS)
    assert len({link for link in links.found if link.startswith("heatmaps/")}) == len(table)
    for path in table["path"]:
        assert " ".join(path.split()) in " ".join(links.text.split())


def test_every_link_of_a_predictions_page_leads_to_a_file(judged, tmp_path):
    run, table = judged, read_predictions(judged)
    out = tmp_path / "odd #out?%20"
    out.mkdir()
    drawn = draw_heatmaps(out, run.parent / "data", table, NAME).assign(scale_of="images")
    points = {level: OperatingPoint(0.5) for level in ("image", "study")}
    using = Using(
        run, networks=1, points=points, left_out=[{"path": "<i>x</i>", "reason": "is empty"}],
        unusual=[{"path": "<i>y</i>", "reason": "looks inverted"}],
    )  # fmt: skip
    verdicts = table.assign(
        verdict="normal", study_verdict="normal", study_probability=table["probability"]
    )
    (out / "predictions.html").write_text(
        predictions_page(using, verdicts, drawn), encoding="utf-8"
    )
    links = check_links(out / "predictions.html")
    assert len({link for link in links.found if link.startswith("heatmaps/")}) == len(table)
    assert "<i>x</i>: is empty" in links.text
    assert "<i>y</i> looks inverted" in links.text


def test_a_report_counts_what_was_left_out_and_what_is_unusual(judged):
    run = judged
    files = [
        (f"<b>{number}.txt", "is not a supported image format (.txt)") for number in range(300)
    ]
    left_out = pd.DataFrame([("a.png", "is empty"), *files], columns=["path", "reason"])
    write_csv(run / "left_out.csv", left_out)
    write_csv(run / "unusual.csv", left_out.head(30).assign(reason="looks inverted"))
    write_report(run)
    text = page_of(run).words
    assert "301 files were left out" in text
    assert "a.png: is empty <b>0.txt: is not a supported image format (.txt) (300 files)" in text
    assert "30 images are unusual, but were used as they are: a.png looks inverted" in text
