"""Run folders as a run leaves them, without training, and their pages as a browser reads them."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
from data_sets import with_logits, write_image

from mura_core.files import write_csv
from mura_core.heatmaps import write_heatmaps
from mura_core.pipeline import evaluate_run
from mura_core.runs import RunConfig, write_config
from mura_plugins import Explainer

COLUMNS = ["path", "body_part", "patient", "study", "label", "split", "fold", "probability"]


class Page(HTMLParser):
    """Collects what a page links to, its elements by name, and the words that it shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._in_style = False
        self.feed(page)
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        self._in_style = tag == "style"
        self.elements.append((tag, dict(attributes)))
        self.found += [value for name, value in attributes if name in ("href", "src")]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if not self._in_style:
            self.text += data


def page_of(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def write_run(folder: Path, table: pd.DataFrame, *, side: int = 8, **settings) -> Path:
    """Write the images of a table of predictions, and a run folder that is evaluated."""
    table = with_logits(table).assign(part_rate=0.5)
    for number, path in enumerate(table["path"]):
        write_image(folder / "data" / path, np.full((side, side), 10 * number % 256, np.uint8))
    table.drop(columns=["fold", "logit", "probability", "part_rate"]).to_csv(
        folder / "data" / "manifest.csv", index=False, lineterminator="\n"
    )
    run = folder / "run"
    run.mkdir()
    write_csv(run / "predictions.csv", table)
    counts = ["split", "body_part", "label", "images", "studies", "patients"]
    write_csv(run / "counts.csv", pd.DataFrame(columns=counts))
    history = {"seed": 1, "epoch": 1, "loss": 1.0, "collapse": "", "least_active_layer": ""}
    write_csv(run / "history.csv", pd.DataFrame([history]))
    (run / "environment.json").write_text('{"packages": {}, "devices": []}')
    config = RunConfig(data=str(folder / "data"), size=8, **settings)
    write_config(run / "config.yaml", config)
    for seed in config.network_seeds if len(config.network_seeds) > 1 else ():
        (run / "seeds" / str(seed)).mkdir(parents=True)
        write_csv(run / "seeds" / str(seed) / "predictions.csv", table)
    evaluate_run(run)
    return run


def draw_heatmaps(folder: Path, data: Path, table: pd.DataFrame, name: str) -> pd.DataFrame:
    method = Explainer(name, "", "", "")
    maps = np.random.default_rng(0).random((len(table), 4, 4)).astype(np.float32)
    return write_heatmaps(folder, method, None, data, table, maps, style="inferno", fit="stretch",
                          readers={})  # fmt: skip
