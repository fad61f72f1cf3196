"""Pages are legible in light and dark, and on a phone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_cases import COLUMNS, page_of, write_run

from mura_core.pipeline import write_report

VOID = {"meta", "img", "br", "use", "path", "rect", "circle", "line"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    rows = [
        (f"p{number}/i.png", "HAND", f"p{number}", "s", number % 2, "valid", 0, number / 20)
        for number in range(20)
    ]
    folder = write_run(tmp_path_factory.mktemp("style"), pd.DataFrame(rows, columns=COLUMNS))
    write_report(folder)
    return folder


class Tables(HTMLParser):
    """Collects the classes of the elements around each table."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.above: list[tuple[str, str]] = []
        self.around: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.around.append([kind for _, kind in self.above])
        if tag not in VOID:
            self.above.append((tag, dict(attributes).get("class") or ""))

    def handle_endtag(self, tag):
        while self.above and self.above.pop()[0] != tag:
            pass


def test_wide_tables_scroll_in_their_own_box(run):
    tables = Tables((run / "report.html").read_text()).around
    assert len(tables) >= 4
    assert all("scroll" in classes for classes in tables)


def test_plots_take_the_colours_of_the_page(run):
    page = (run / "report.html").read_text()
    plots = [part.partition("</svg>")[0] for part in page.split("<svg ")[1:]]
    named = [re.search('aria-label="([^"]*)"', plot)[1] for plot in plots]
    assert {"ROC curves", "Learning curves"} <= set(named)
    for plot in plots:
        assert "currentColor" in plot
        # Neither black ink nor white paper, which only one of the two modes shows.
        assert not re.search(r"#000000|#ffffff|\b(black|white)\b", plot)


def test_a_page_asks_for_nothing_from_elsewhere(run):
    page = (run / "report.html").read_text()
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    assert not re.search(r"<script|@import|url\((?!#)", page)
    assert not [link for link in page_of(run).found if "//" in link.partition("data:")[0]]
