"""Every link of a page leads to a file that is there, whatever images and parts are called."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from data_sets import with_logits, write_image
from PIL import Image

from mura_core.evaluation import OperatingPoint
from mura_core.files import write_csv
from mura_core.heatmaps import write_heatmaps
from mura_core.pipeline import evaluate_run, write_report
from mura_core.report import Using, predictions_page
from mura_core.runs import RunConfig, write_config
from mura_plugins import Explainer

NAMES = [
    "plain", "a#b", "100%41", "what?", "two words", 'quo"ted', "it's", "a&amp;b", "<b>", "ä€𝄞",
    "semi;colon=1", "a:b", "+", "a-b", "x" * 120,
]  # fmt: skip
# Two that differ in what a file name can't hold.
PARTS = [*NAMES, "HAND/left", "HAND-left", "..", "."]


class Links(HTMLParser):
    """Collects what a page links to, and the words that it shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        self.text += data


def check_links(page: Path) -> Links:
    links = Links(page.read_text(encoding="utf-8"))
    files = [link for link in links.found if not link.startswith("data:")]
    assert files
    for link in files:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", ""), link
        with Image.open(page.parent / unquote(parts.path)) as image:
            assert image.width > 0
    return links


@pytest.fixture
def judged(tmp_path) -> tuple[Path, pd.DataFrame]:
    """A run folder with predictions of oddly named images, half of them wrong."""
    rows = []
    for number, part in enumerate(PARTS):
        for label in (0, 1):
            name = NAMES[number % len(NAMES)]
            path = f"{name} {number}/{name}{label}.png"
            write_image(tmp_path / "data" / path, np.full((8, 8), 10 * number, np.uint8))
            probability = 0.9 - 0.01 * number if number % 2 else 0.1 + 0.01 * number
            rows.append((path, part, f"p{number}-{label}", name, label, "valid", 0, probability))
    columns = ["path", "body_part", "patient", "study", "label", "split", "fold", "probability"]
    table = with_logits(pd.DataFrame(rows, columns=columns)).assign(part_rate=0.5)
    table.drop(columns=["fold", "logit", "probability", "part_rate"]).to_csv(
        tmp_path / "data" / "manifest.csv", index=False, lineterminator="\n"
    )
    run = tmp_path / "run"
    run.mkdir()
    write_csv(run / "predictions.csv", table)
    write_csv(run / "counts.csv", pd.DataFrame(columns=["split", "body_part", "label", "images",
                                                        "studies", "patients"]))  # fmt: skip
    history = {"seed": 1, "epoch": 1, "loss": 1.0, "collapse": "", "least_active_layer": ""}
    write_csv(run / "history.csv", pd.DataFrame([history]))
    (run / "environment.json").write_text('{"packages": {}, "devices": []}')
    write_config(run / "config.yaml", RunConfig(data=str(tmp_path / "data"), size=8))
    evaluate_run(run)
    return run, table


def draw_heatmaps(folder: Path, data: Path, table: pd.DataFrame) -> pd.DataFrame:
    method = Explainer("odd #1?", "", "", "")
    maps = np.random.default_rng(0).random((len(table), 4, 4)).astype(np.float32)
    return write_heatmaps(folder, method, None, data, table, maps, style="inferno", fit="stretch",
                          readers={})  # fmt: skip


def test_every_link_of_a_report_leads_to_a_file(judged):
    run, table = judged
    drawn = draw_heatmaps(run, run.parent / "data", table)
    write_csv(run / "heatmaps" / "heatmaps.csv", drawn)
    write_report(run)
    links = check_links(run / "report.html")
    assert len({link for link in links.found if link.startswith("errors/")}) == len(PARTS)
    assert len({link for link in links.found if link.startswith("heatmaps/")}) == len(table)
    for path in table["path"]:
        assert " ".join(path.split()) in " ".join(links.text.split())


def test_every_link_of_a_predictions_page_leads_to_a_file(judged, tmp_path):
    run, table = judged
    out = tmp_path / "odd #out?%20"
    out.mkdir()
    drawn = draw_heatmaps(out, run.parent / "data", table).assign(scale_of="images")
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
    run, _ = judged
    files = [
        (f"<b>{number}.txt", "is not a supported image format (.txt)") for number in range(300)
    ]
    left_out = pd.DataFrame([("a.png", "is empty"), *files], columns=["path", "reason"])
    write_csv(run / "left_out.csv", left_out)
    write_csv(run / "unusual.csv", left_out.head(30).assign(reason="looks inverted"))
    write_report(run)
    page = run / "report.html"
    text = " ".join(Links(page.read_text(encoding="utf-8")).text.split())
    assert "301 files were left out" in text
    assert "a.png: is empty <b>0.txt: is not a supported image format (.txt) (300 files)" in text
    assert "30 images are unusual, but were used as they are: a.png looks inverted" in text
