"""Methods measured as a run does it, on networks and regions that were planted."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from known_networks import linear

from mura_core.heatmaps import MEASURES, Bench, Measure, Region, not_beaten
from mura_core.heatmaps.baselines import baseline_maps, summarise
from mura_core.heatmaps.measures.measure import USE, Case
from mura_core.report import method_in_words
from mura_core.report.heatmap_text import measure_rows
from mura_plugins.network import Network

SIDE, COUNT = 32, 14
FINDING, LETTERS = (slice(18, 26), slice(4, 12)), (slice(2, 6), slice(20, 30))


def region(where: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[where] = True
    return mask


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    images = np.random.default_rng(0).integers(20, 60, (COUNT, SIDE, SIDE), dtype=np.uint8)
    images[(slice(None), *FINDING)] += 150
    images[(slice(None), *LETTERS)] += 150
    return images


@pytest.fixture(scope="module")
def bench(images) -> Bench:
    """A network that sees nothing but the finding, and one more that was taught nonsense."""
    paths = [f"{number}.png" for number in range(COUNT)]
    sample = pd.DataFrame({"path": paths, "patient": paths, "fold": 0}, index=range(7, 7 + COUNT))
    elsewhere = [np.roll(region(FINDING), shift, axis=1) for shift in (4, 8, 12, 16)]
    return Bench(
        sample,
        images,
        {0: Network(linear(0.001 * region(FINDING)))},
        seed=1,
        findings=Region(dict.fromkeys(paths, region(FINDING)), elsewhere, images[:4]),
        letters=Region(dict.fromkeys(paths, region(LETTERS))),
        shuffled={0: Network(linear(0.001 * region(LETTERS)))},
    )


def gradient_times_image(network, images, *, toward, seed):
    return toward * network.pixel_gradients(images) * images.astype(np.float32)


def random_maps(network, images, *, toward, seed):
    return np.random.default_rng(5).random(images.shape, np.float32)


def letters_alone(network, images, *, toward, seed):
    return np.stack([region(LETTERS)] * len(images)).astype(np.float32)


def measured(bench: Bench, method) -> tuple[pd.DataFrame, dict]:
    maps, looked_at = bench.explain(method, lambda done, total: None)
    assert looked_at is None
    return bench.score(maps, bench.explain_further(method, maps))


def test_a_perfect_map_is_best_by_every_measure(bench):
    table, summary = measured(bench, gradient_times_image)
    finding, use, learning = (summary[name] for name in ("finding", "use", "learning"))
    for name in ("pointing", "heat_share", "average_precision", "iou"):
        assert finding.measures[name].mean > 0.8, name
        assert not_beaten(finding.measures[name], 1) == []
    for name, better in (("deletion", -1), ("insertion", 1), ("road", 1), ("infidelity", -1)):
        assert not_beaten(use.measures[name], better) == [], name
    assert use.measures["infidelity"].mean < 0.01
    # It shows what the network learned, and the other network learned something else.
    assert learning.measures["randomised"].mean < 0.5
    assert learning.measures["shuffled_labels"].mean < 0.5
    assert learning.stages[-1].share_of_layers == 1
    assert summary["letters"].measures["heat_share"].mean == 0
    assert len(table) == COUNT
    assert table["finding_pointing"].eq(1).all()
    assert table["randomised"].notna().sum() == 8  # of fourteen


def test_a_random_map_gets_what_chance_gives(bench):
    _, summary = measured(bench, random_maps)
    area = 64 / SIDE**2
    for name in ("pointing", "heat_share", "average_precision"):
        assert summary["finding"].measures[name].mean == pytest.approx(area, abs=0.1)
        assert "random" in not_beaten(summary["finding"].measures[name], 1)
    for name, better in (("deletion", -1), ("insertion", 1), ("road", 1)):
        assert "random" in not_beaten(summary["use"].measures[name], better)
    # It is the same whatever the network is: that is found out, and said.
    assert summary["learning"].measures["randomised"].mean == pytest.approx(1)
    said = method_in_words("random-maps", summary)
    assert "its maps may show only the image" in said
    assert "not significantly better than a random map" in said


def test_a_map_of_the_letters_is_fully_distracted(bench):
    _, summary = measured(bench, letters_alone)
    assert summary["letters"].measures["heat_share"].mean == 1
    assert summary["finding"].measures["pointing"].mean == 0
    assert "100.0% of its heat is on letters" in method_in_words("letters", summary)
    assert "more than by chance" in method_in_words("letters", summary)
    assert summary["use"].measures["road"].mean < 0.1


def test_what_the_page_shows_is_what_was_measured(bench):
    _, summary = measured(bench, gradient_times_image)
    rows = measure_rows(summary)
    assert len(rows) == 12
    assert {row.count for row in rows} == {8, COUNT}
    said = method_in_words("mine", summary)
    assert said.startswith("mine: it marks the finding in 14 of 14 images, better than the")
    assert "better than the image-independent baselines" in said


def test_without_regions_there_is_the_rest(bench, images):
    bare = Bench(bench.sample, images, bench.networks, seed=1)
    table, summary = measured(bare, gradient_times_image)
    assert summary["finding"] is None
    assert summary["letters"] is None
    assert list(summary["use"].measures["deletion"].baselines) == ["random", "centre"]
    assert "shuffled_labels" not in table
    assert "finding" not in method_in_words("mine", summary)


def test_each_fold_is_explained_by_its_own_network(images):
    paths = [f"{number}.png" for number in range(COUNT)]
    sample = pd.DataFrame({"path": paths, "patient": paths, "fold": [1, 2] * (COUNT // 2)})
    networks = {
        1: Network(linear(0.001 * region(FINDING))),
        2: Network(linear(0.001 * region(LETTERS))),
    }
    bench = Bench(sample, images, networks, seed=0)
    maps, _ = bench.explain(gradient_times_image, lambda done, total: None)
    for own, where in ((maps[::2], FINDING), (maps[1::2], LETTERS)):
        assert (own[:, region(where)] > 0).all()
        assert (own[:, ~region(where)] == 0).all()
    table, _ = bench.score(maps, bench.explain_further(gradient_times_image, maps))
    assert (table["infidelity"] < 0.01).all()


def test_the_layer_is_that_of_the_method(bench):
    def features(network, images, *, toward, seed):
        return network.gradients(images)[0][..., 0]

    _, looked_at = bench.explain(features, lambda done, total: None)
    assert isinstance(bench.networks[0].model, keras.Model)
    assert looked_at == bench.networks[0].layer
    assert bench.explain(random_maps, lambda done, total: None)[1] is None


def test_a_measure_is_added_by_itself(bench):
    """A further measure's column, summary, row and sentence come from its declaration alone."""

    def warmest_corner(case: Case) -> float:
        return float(case.large[0, 0] > case.large.mean())

    further = Measure(
        "corner",
        USE,
        "Images whose corner is warm",
        "less",
        warmest_corner,
        sentence=lambda use: f"its corners are warm in {use.measures['corner'].mean:.0%}",
    )
    measures = (*MEASURES, further)
    wider = replace(bench, measures=measures)
    table, summary = measured(wider, random_maps)
    assert set(table["corner"].dropna()) <= {0.0, 1.0}
    row = measure_rows(summary, measures)[-1]
    assert (row.title, row.better) == ("Images whose corner is warm", "less")
    assert list(row.score.baselines) == ["random", "centre", "average_box"]
    assert "its corners are warm in" in method_in_words("mine", summary, measures)


def test_baseline_maps():
    boxes = [region(FINDING), region(LETTERS)]
    maps = baseline_maps((7, 9), boxes, seed=0)
    assert [map_of(2).shape for map_of in maps.values()] == [(7, 9), (7, 9), (SIDE, SIDE)]
    row, column = np.unravel_index(maps["centre"](1).argmax(), (7, 9))
    assert (row, column) == (3, 4)
    np.testing.assert_allclose(maps["average_box"](2), np.mean(boxes, axis=0))
    assert list(baseline_maps((7, 9), [], seed=0)) == ["random", "centre"]
    np.testing.assert_array_equal(maps["random"](1), maps["random"](1))
    assert not np.array_equal(maps["random"](0), maps["random"](1))


def test_intervals_are_over_patients_and_differences_in_pairs():
    random = np.random.default_rng(0)
    values = random.normal(size=40)
    own = pd.DataFrame({"measure": values + 0.1})
    other = {"random": pd.DataFrame({"measure": values})}
    each = summarise(own, other, pd.Series(np.arange(40)), seed=0).measures["measure"]
    # In pairs the difference is always 0.1, though the values vary by ten times that.
    assert each.baselines["random"].interval == pytest.approx((0.1, 0.1))
    assert not_beaten(each, 1) == []
    assert not_beaten(each, -1) == ["random"]
    half = 1.96 * values.std() / np.sqrt(40)
    assert each.interval == pytest.approx((each.mean - half, each.mean + half), abs=0.06)
    # Ten patients with the same image four times say no more than ten images.
    tens = pd.DataFrame({"measure": np.repeat(values[:10], 4)})
    summary = summarise(tens, {}, pd.Series(np.repeat(np.arange(10), 4)), seed=0)
    once = summarise(tens[::4], {}, pd.Series(np.arange(10)), seed=0)
    assert (summary.count, summary.patients) == (40, 10)
    assert summary.measures["measure"].interval == pytest.approx(once.measures["measure"].interval)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_nothing_is_said_from_too_few_patients(bench, images, count):
    few = Bench(bench.sample[:count], images[:count], bench.networks, 1, bench.findings)
    _, summary = measured(few, gradient_times_image)
    assert measure_rows(summary) == []
    said = method_in_words("mine", summary)
    assert said == "mine: explained for fewer than 5 patients, too few to score it"


def test_an_undefined_measure_counts_for_no_image():
    own = pd.DataFrame({"some": [1.0, np.nan, 3.0, 2.0, 2.0, 2.0], "few": [np.nan] * 5 + [1.0]})
    summary = summarise(own, {}, pd.Series(range(6)), seed=0)
    assert summary.measures["some"].mean == 2
    low, high = summary.measures["some"].interval
    assert 1 <= low <= 2 <= high <= 3
    assert summary.measures["few"] is None
