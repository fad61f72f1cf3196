"""`metrics.json`: written and read as the same figures, documented, and refused when damaged."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.data import ALL, LEVELS
from mura_core.errors import DataError
from mura_core.evaluation import (
    BASELINES,
    FIGURES,
    Baseline,
    Counts,
    Figures,
    LevelSpread,
    RepeatFigures,
    StudyScoreFigures,
)
from mura_core.evaluation.results import Lead, Spread
from mura_core.heatmaps import (
    MEASURES,
    BaselineScore,
    Distraction,
    GroupScores,
    HeatmapScores,
    MeasureScore,
    MethodScores,
    TextReliance,
)
from mura_core.heatmaps.measures.measure import GROUPS
from mura_core.heatmaps.results import Stage
from mura_core.runs import (
    Bootstrap,
    LevelPoint,
    Metrics,
    Restart,
    as_json,
    last_metrics,
    read_metrics,
    write_metrics,
)

DOCUMENTED = Path(__file__).parents[2] / "docs" / "run-folder.md"

COUNTS = Counts(9, 4, 5, 8, 3, 1, 4, 1, 0)
ESTIMATES = dict.fromkeys(FIGURES, 0.25) | {"uncertain_share": None}
INTERVALS = dict.fromkeys(FIGURES, (0.125, 0.5)) | {"uncertain_share": None}
BASELINE = Baseline(ESTIMATES, {"auroc": Lead(0.25, (-0.5, 1.0), False)})
GIVEN = Figures("image", ALL, COUNTS, ESTIMATES, INTERVALS, {"always_normal": BASELINE}, None)
NOTHING = dict.fromkeys(FIGURES)
NOT_GIVEN = Figures("study", "HAND", COUNTS, NOTHING, NOTHING, dict.fromkeys(BASELINES), "too few")
REPEAT = RepeatFigures("image", 1, COUNTS, ESTIMATES, None)
SPREAD = LevelSpread("image", {name: Spread(0.5, 0.25, 3) for name in FIGURES} | {"ppv": None})
SCORE = MeasureScore(0.5, (0.25, 0.75), {"random": BaselineScore(0.125, None)})
GROUPS_SCORED = {
    group.name: GroupScores(
        9, 8, {one.name: SCORE for one in MEASURES if one.group is group}, 0.25, (Stage(1.0, 0.5),)
    )
    for group in GROUPS
}
EVERYTHING = Metrics(
    validate="kfold",
    operating_point="0.3,0.7",
    calibrate="temperature",
    study_score="max",
    operating_points=(LevelPoint("image", 0, 0.5, 0.25, 20, 9),),
    temperatures={1: 1.5},
    intervals=Bootstrap("percentiles", 0.95, 2000, 7),
    figures=(GIVEN, NOT_GIVEN),
    study_scores=(StudyScoreFigures("max", 9, 20, {"auroc": 0.5}, {"auroc": None}, None),),
    folds=(REPEAT,),
    over_folds=(SPREAD,),
    seeds=(REPEAT,),
    over_seeds=(SPREAD,),
    restarts=(Restart(0, 5, 2, "the same output"),),
    heatmaps=HeatmapScores(
        5,
        (MethodScores("gradcam", None, 9, GROUPS_SCORED | {"letters": None}),),
        Distraction("known", (TextReliance(ALL, 9, 8, 1, 0.5, 0.25, (0.0, 0.5), 0.125, None),)),
    ),
)


@pytest.mark.parametrize("metrics", [EVERYTHING, replace(EVERYTHING, heatmaps=None, folds=())])
def test_what_is_written_is_read(metrics: Metrics, tmp_path: Path):
    write_metrics(tmp_path, metrics)
    assert read_metrics(tmp_path) == metrics


def keys_in(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from keys_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from keys_in(value)


def test_every_key_is_documented():
    page = DOCUMENTED.read_text()
    page = page[page.index("## metrics.json") :]
    for key in {*keys_in(as_json(EVERYTHING)), *LEVELS, *BASELINES} - {"1", ALL}:
        assert f"`{key}`" in page, key


def test_figures_and_measures_are_keys_of_their_row():
    content = as_json(EVERYTHING)
    row = content["figures"][0]
    assert (row["true_positives"], row["auroc"], row["intervals"]["auroc"]) == (
        3,
        0.25,
        [0.125, 0.5],
    )
    assert row["baselines"]["always_normal"]["beaten_by"]["auroc"]["difference"] == 0.25
    assert (content["folds"][0]["fold"], content["seeds"][0]["seed"]) == (1, 1)
    assert content["over_folds"][0]["auroc"] == {"mean": 0.5, "deviation": 0.25, "folds": 3}
    assert content["heatmaps"]["methods"][0]["finding"]["pointing"]["mean"] == 0.5


def test_the_sentences_of_version_2_are_passed_over(tmp_path: Path):
    content = as_json(EVERYTHING) | {"version": 2}
    text = json.dumps(content).replace('"baselines": {"random"', '"beside": {"random"')
    content = json.loads(text)
    content["heatmaps"]["methods"][0]["in_words"] = "a sentence"
    content["heatmaps"]["distraction"]["in_words"] = "another"
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    assert '"beside"' in text
    assert read_metrics(tmp_path) == EVERYTHING


@pytest.mark.parametrize("version", [None, 1, 4, "3", [2]])
def test_another_version_is_refused_and_can_be_evaluated_again(version: object, tmp_path: Path):
    (tmp_path / "metrics.json").write_text(json.dumps(as_json(EVERYTHING) | {"version": version}))
    with pytest.raises(DataError, match=r"by another version .*: mura-run evaluate"):
        read_metrics(tmp_path)
    assert last_metrics(tmp_path) is None


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"metrics\.json: no such file; evaluate the run: mura-run"):
        read_metrics(tmp_path)
    assert last_metrics(tmp_path) is None


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value."""
    inside = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inside:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


PLACES = [place for place in places(as_json(EVERYTHING)) if place != ("version",)]
VALUES = st.sampled_from([None, "x", 3, [], {}, [1, 2], {"a": 1}])


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), value=VALUES | st.just("missing"))
def test_a_damaged_file_is_read_or_refused_in_one_line(place: tuple, value: object, tmp_path: Path):
    content = as_json(EVERYTHING)
    *above, last = place
    inside = content
    for key in above:
        inside = inside[key]
    if value == "missing":
        del inside[last]
    else:
        inside[last] = value
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    try:
        read = read_metrics(tmp_path)
    except DataError as error:
        message = str(error)
        assert message.startswith(f"{tmp_path / 'metrics.json'}: is damaged (")
        assert len(message.splitlines()) == 1
    else:
        as_json(read)
