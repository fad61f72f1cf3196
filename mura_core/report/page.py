"""Make the report of a run from the files of its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mura_core.data import ALL
from mura_core.evaluation import (
    BASELINES,
    COMPARED,
    FIGURES,
    Figures,
    constant_output,
    of_level,
)
from mura_core.heatmaps import BASELINE_NAMES, MethodScores
from mura_core.report.contact_sheets import sheet_of
from mura_core.report.figures_text import (
    SCORE_NAMES,
    headline_figures,
    how_called,
    restarts_in_words,
    shown_figures,
    tell_scores_apart,
    verdicts,
)
from mura_core.report.heatmap_text import distraction_in_words, measure_rows, method_in_words
from mura_core.report.levels import LEVEL_NAMES, same_levels
from mura_core.report.paths import shown_config, shown_path
from mura_core.report.pictures import colour_bar_url, embedded
from mura_core.report.plots import learning_curves, roc_curves
from mura_core.report.splits_text import splits_in_words
from mura_core.report.verdict import verdict_of
from mura_core.runs import TEST, config_of, judge_run, read_metrics, read_run_table
from mura_core.tables import read_table
from mura_core.training import history_table

if TYPE_CHECKING:
    from jinja2 import Template

_SCORES_IN_WORDS = {
    "mean": "the mean probability of its images",
    "max": "the highest probability of its images",
    "noisy-or": "1 minus the product of its images' probabilities of 'normal' (noisy-or)",
}
_MISTAKES_LISTED = 12  # per body part, as on the contact sheets
# Longest sides in pixels of the pictures that are part of the page.
_OF_A_SHEET = 896  # its whole size, so that its captions can be read
_OF_AN_OVERLAY = 640


def report_page(folder: Path, *, phantoms: bool) -> str:
    """Return the report of a run as HTML.

    The plots and pictures are part of the page, so that it can be sent as one file. If the pictures
    would take more than `pictures.MOST_BYTES`, the page links the last ones by relative path, and
    says how many.

    Parameters
    ----------
    folder : Path
        The run folder.
    phantoms : bool
        Whether the run's data are phantoms.
    """
    metrics = read_metrics(folder)
    mistakes = _table(folder, "errors.csv")
    heatmaps = _table(folder, "heatmaps/heatmaps.csv")
    # The scores are lost if metrics.json was deleted before the run was evaluated again.
    methods = metrics.heatmaps.methods if metrics.heatmaps else ()
    distraction = metrics.heatmaps.distraction if metrics.heatmaps else None
    same_as = same_levels(metrics)
    splits = _table(folder, "splits.csv")
    counts = _table(folder, "counts.csv")
    by_level = {level: of_level(metrics.figures, level) for level in LEVEL_NAMES}
    judgement = judge_run(folder)
    by_part = _by_part(mistakes, folder)
    pictures = {part["sheet"]: _OF_A_SHEET for part in by_part if part["sheet"]}
    if not heatmaps.empty:
        pictures |= dict.fromkeys(heatmaps["overlay"], _OF_AN_OVERLAY)
    shown = embedded(folder, pictures)
    return template("page.html").render(
        phantoms=phantoms,
        folder=folder.name,
        config=shown_config((folder / "config.yaml").read_text(encoding="utf-8")),
        environment=_json(folder / "environment.json"),
        counts=counts.to_dict("records"),
        data_sums=_data_sums(counts),
        left_out=_table(folder, "left_out.csv").to_dict("records"),
        contradictions=len(_table(folder, "contradictions.csv")),
        splits=splits_in_words(splits),
        verdict=verdict_of(metrics, config_of(folder), splits),
        unusual=_table(folder, "unusual.csv").to_dict("records"),
        metrics=metrics,
        judged=_judged(folder),
        tested=_test_figures(folder),
        same_as=same_as,
        tested_same_as=_same_test_levels(folder),
        score_in_words=_SCORES_IN_WORDS[judgement.study_score],
        scores_differ=tell_scores_apart(metrics.study_scores),
        score_figures=shown_figures(metrics.study_scores, COMPARED),
        seed_count=len({row.repeat for row in metrics.seeds}),
        score_names=SCORE_NAMES,
        levels={level: name for level, name in LEVEL_NAMES.items() if by_level[level]},
        rows_of=by_level.get,
        how_called=lambda level: how_called(metrics, level),
        verdicts=verdicts,
        names={name: figure.title for name, figure in FIGURES.items()},
        shown=shown_figures(metrics.figures),
        others=[name for name in FIGURES if name not in (*headline_figures(), "uncertain_share")],
        two_points=shown_figures(metrics.figures) != headline_figures(),
        baselines=BASELINES,
        mistakes=by_part,
        pictures=shown,
        linked=len(pictures) - len(shown),
        mistake_count=len(mistakes),
        collapsed=constant_output(judgement.predictions),
        restarts=restarts_in_words(metrics.restarts),
        roc_curves=roc_curves(judgement, list(dict.fromkeys(same_as.values()))),
        learning_curves=learning_curves(history_table(folder)),
        explained=explained_by_method(heatmaps, methods),
        in_words=[method_in_words(one.explainer, one.groups) for one in methods],
        distraction=distraction,
        distraction_in_words=distraction_in_words,
        flipped=_flipped(_table(folder, "heatmaps/letters.csv")),
        map_baselines=BASELINE_NAMES,
    )


def _judged(folder: Path) -> list[str]:
    """Return when the test images were judged."""
    path = folder / TEST / "judgements.csv"
    return read_table(path)["judged"].tolist() if path.is_file() else []


def _test_figures(folder: Path) -> dict[str, list[Figures]]:
    """Return the figures of the test images by level; empty if they weren't judged."""
    if not (folder / TEST / "metrics.json").is_file():
        return {}
    figures = read_metrics(folder / TEST).figures
    return {level: of_level(figures, level) for level in LEVEL_NAMES}


def _same_test_levels(folder: Path) -> dict[str, str]:
    tested = folder / TEST
    return same_levels(read_metrics(tested)) if (tested / "metrics.json").is_file() else {}


def _data_sums(counts: pd.DataFrame) -> list[tuple[str, dict[str, int]]]:
    """Return the numbers of images and of abnormal ones by split."""
    parts = counts[counts["body_part"] != ALL].assign(
        abnormal=lambda rows: rows["images"] * rows["label"]
    )
    return [
        (str(split), {name: int(rows[name].sum()) for name in ("images", "abnormal")})
        for split, rows in parts.groupby("split", sort=False)
    ]


def template(name: str) -> Template:
    """Return a template of this package, with HTML escaping.

    Parameters
    ----------
    name : str
        File name of the template.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("mura_core.report", "."), autoescape=True, trim_blocks=True
    )
    environment.filters["shown_path"] = shown_path
    environment.filters["figure"] = lambda value: "-" if value is None else f"{value:.3f}"
    return environment.get_template(name)


def _by_part(mistakes: pd.DataFrame, folder: Path) -> list[dict[str, Any]]:
    if mistakes.empty:
        return []
    return [
        {
            "name": part,
            "count": len(rows),
            "rows": rows.head(_MISTAKES_LISTED).to_dict("records"),
            "sheet": sheet if (folder / (sheet := sheet_of(str(part)))).is_file() else None,
        }
        for part, rows in mistakes.groupby("body_part")
    ]


def explained_by_method(
    heatmaps: pd.DataFrame, methods: Sequence[MethodScores]
) -> list[dict[str, Any]]:
    """Return the values that the pages show for each method's heatmaps.

    Parameters
    ----------
    heatmaps : DataFrame
        Contents of `heatmaps.csv`, one row per image and method.
    methods : sequence of MethodScores
        Scores of the methods; empty if the heatmaps weren't scored.

    Returns
    -------
    list of dict
        For each method: `name`, `layer`, `style`, `scale`, `empty` (number of maps without
        evidence), `signed`, `measures`, `colour_bar` (an image as a data URL) and `images` (rows of
        `heatmaps`).
    """
    if heatmaps.empty:
        return []
    groups = {one.explainer: one.groups for one in methods}
    return [
        {
            "name": name,
            "layer": rows["layer"].iloc[0],
            "style": rows["style"].iloc[0],
            "scale": rows["scale"].iloc[0],
            "empty": int(rows["empty"].sum()),
            "signed": bool(rows["signed"].iloc[0]),
            "measures": measure_rows(groups[str(name)]) if name in groups else [],
            "colour_bar": colour_bar_url(
                rows["style"].iloc[0], signed=bool(rows["signed"].iloc[0])
            ),
            "images": rows.to_dict("records"),
        }
        for name, rows in heatmaps.groupby("explainer", sort=False)
    ]


def _flipped(letters: pd.DataFrame) -> list[Any]:
    return [row for row in letters.to_dict("records") if row["flips"]]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _table(folder: Path, name: str) -> pd.DataFrame:
    if not (folder / name).is_file():
        return pd.DataFrame()
    return read_run_table(folder, name).replace({np.nan: None})
