"""The first lines of a report answer: what was trained, how good it is, and where it is worst."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_cases import COLUMNS, Page, page_of, write_run
from sklearn.metrics import accuracy_score, roc_auc_score

from mura_core.evaluation import Baseline, Counts, Figures
from mura_core.evaluation.results import Lead
from mura_core.files import write_csv
from mura_core.pipeline import write_report
from mura_core.report.verdict import compared_in_words

PARTS = {"ELBOW": 0.35, "<b>HAND": 0.05, "WRIST": 0.2}  # by what separates the labels


def predictions(*, folds: int = 0, images: int = 1, small: bool = False) -> pd.DataFrame:
    """Return predictions for 20 patients of each body part, half of them abnormal."""
    random = np.random.default_rng(1)
    rows = []
    for part, shift in PARTS.items():
        for number in range(20):
            label = number % 2
            for image in range(images):
                probability = np.clip(random.normal(0.5 + (label - 0.5) * shift, 0.15), 0.01, 0.99)
                split, fold = ("train", number % folds + 1) if folds else ("valid", 0)
                patient = f"{part[-3:]}{number}"
                path = f"{patient}/{image}.png"
                rows.append((path, part, patient, "s", label, split, fold, probability))
    if small:
        rows += [(f"x{i}.png", "TOE", f"x{i}", "s", i % 2, "valid", 0, 0.2 + i / 9) for i in (0, 1)]
    return pd.DataFrame(rows, columns=COLUMNS)


def first_screen(run: Path) -> Page:
    write_report(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    return Page(page[page.index('<section class="verdict">') : page.index("</section>")])


def test_the_verdict_has_the_figures_of_the_studies(tmp_path):
    table = predictions(images=2, small=True)
    run = write_run(tmp_path, table)
    studies = table.groupby(["body_part", "patient"]).agg({"label": "max", "probability": "mean"})
    auroc = {part: roc_auc_score(rows["label"], rows["probability"])
             for part, rows in studies.groupby("body_part")}  # fmt: skip
    called = (table["probability"] >= 0.5).groupby([table["body_part"], table["patient"]]).max()
    assert len(called) == len(studies)
    whole = roc_auc_score(studies["label"], studies["probability"])
    accuracy = accuracy_score(studies["label"], studies["probability"] >= 0.5)
    said = first_screen(run).words
    assert "conv4, trained on" in said
    assert "judged on 122 validation images of 62 patients" in said
    assert f"AUROC {whole:.3f} (" in said
    assert f"accuracy {accuracy:.3f} (" in said
    assert "on 62 studies of 62 patients" in said
    del auroc["TOE"]
    worst = min(auroc, key=auroc.__getitem__)
    assert f"Worst body part: {worst}, AUROC {auroc[worst]:.3f} (" in said
    assert "on 20 studies of 20 patients, 10 abnormal" in said
    assert "1 of 4 body parts has too few patients for figures" in said
    assert "Not a medical device" in said
    assert "hantoms" not in said
    words = page_of(run).words
    assert "By patient within a body part: same as by study, because" in words
    assert words.count("Counts and further figures by") == 2


def test_training_is_told_by_its_own_patients(tmp_path):
    run = write_run(tmp_path, predictions())
    splits = [(f"{i}.png", "HAND", f"p{i // 3}", "s", 0, "train" if i < 7 else "valid")
              for i in range(9)]  # fmt: skip
    columns = ["path", "body_part", "patient", "study", "label", "split"]
    write_csv(run / "splits.csv", pd.DataFrame(splits, columns=columns).assign(split_by="data"))
    assert "/data, 7 images of 3 patients; judged on 60" in first_screen(run).words


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ({}, {}, "judged on 60 validation images of 60 patients"),
        ({}, {"validate": "holdout"}, "judged on 60 held-out training images of 60 patients"),
        ({"folds": 2}, {"validate": "kfold", "folds": 2}, "in 2 folds: 60 images of 60 patients"),
        ({}, {"seeds": "5,7"}, "The average of 2 networks conv4, trained on"),
        ({}, {"operating_point": "0.3,0.7"}, "judged on 60 validation images"),
    ],
)
def test_every_kind_of_run_has_an_answer_and_a_picture(tmp_path, kind, settings, says):
    run = write_run(tmp_path, predictions(**kind), **settings)
    screen = first_screen(run)
    assert says in screen.words
    assert "The network beats 'always normal'" in screen.words
    page = page_of(run)
    assert "<b>HAND" in page.words
    assert page.words.count("same as by image, because the units are the same") == 3
    assert page.words.count("Counts and further figures by") == 1
    anchors = [link for link in page.found if link.startswith("#")]
    assert {"#limits", "#data", "#figures", "#curves", "#errors", "#repeat"} <= set(anchors)
    assert {link[1:] for link in anchors} <= set(page.ids)


def test_the_picture_has_a_dot_for_each_figure_at_its_value(tmp_path):
    run = write_run(tmp_path, predictions())
    write_report(run)
    page = (run / "report.html").read_text()
    plot = ET.fromstring(re.search('<svg role="img" aria-label="AUROC and.*?</svg>', page, re.S)[0])
    dots = [(one.get("class"), float(one.get("cx"))) for one in plot.iter("circle")]
    assert [kind for kind, _ in dots] == ["network", "baseline", "baseline"] * 2
    values = [float(one.text) for one in plot.iter("text") if one.get("x") == "400"]
    np.testing.assert_allclose([x for _, x in dots], 130 + 210 * np.array(values), atol=0.2)
    bars = [one.get("d") for one in plot.iter("path") if one.get("class") == "interval"]
    for bar, (_, x) in zip(bars, dots[::3], strict=True):
        low, high = map(float, re.fullmatch(r"M([\d.]+) \d+H([\d.]+)", bar).groups())
        assert low < x < high


def test_a_collapsed_network_has_no_verdict_and_no_picture(tmp_path):
    run = write_run(tmp_path, predictions().assign(probability=0.4))
    screen = first_screen(run)
    assert "There are no figures: the network gives every image the same answer" in screen.words
    assert "Worst body part" not in screen.words
    assert not [tag for tag, _ in screen.elements if tag in ("svg", "circle")]
    page = page_of(run)
    assert "#curves" not in page.found
    assert not [link for link in page.found if link.startswith("#heatmaps")]


def compared(*beats: bool | None) -> str:
    """Return the sentence for: accuracy and AUROC against each of the two baselines."""
    leads = [Lead(None if one is None else 0.1, None, bool(one)) for one in beats]
    baselines = {
        name: Baseline({}, dict(zip(("accuracy", "auroc"), pair, strict=True)))
        for name, pair in zip(("always_normal", "body_part_alone"), (leads[:2], leads[2:]),
                              strict=True)
    }  # fmt: skip
    counts = Counts(1, 1, 0, 1, 0, 0, 0, 1, 0)
    return compared_in_words(Figures("study", "ALL", counts, {}, {}, baselines, None))


@pytest.mark.parametrize(
    ("beats", "said"),
    [
        ((True,) * 4, "The network beats 'always normal' and 'body part only'"
                      " by accuracy and AUROC."),
        ((False, True, False, True), "The network beats 'always normal' and 'body part only'"
                                     " by AUROC but not by accuracy."),
        ((True, True, False, False), "The network beats 'always normal' by accuracy and AUROC,"
                                     " and does not beat 'body part only'."),
        ((None, True, None, False), "The network beats 'always normal' by AUROC,"
                                    " and does not beat 'body part only'."),
        ((False,) * 4, "The network does not beat 'always normal' or 'body part only': it has"
                       " learned nothing useful, or these are too few patients to show it."),
        ((None,) * 4, ""),
    ],
)  # fmt: skip
def test_the_sentence_names_what_is_beaten_and_by_what(beats, said):
    assert compared(*beats) == said
