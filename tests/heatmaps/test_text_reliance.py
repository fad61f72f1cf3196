"""A network that reads letters is found out, and one that doesn't is cleared."""

import numpy as np
import pandas as pd
import pytest
from known_networks import linear

from mura_core.heatmaps import Distraction, distraction, without_letters
from mura_core.report import distraction_in_words
from mura_plugins.network import Network

SIDE, COUNT = 48, 16


@pytest.fixture(scope="module")
def letters() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4:10, 6:20] = True
    return mask


@pytest.fixture(scope="module")
def finding() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[30:36, 28:42] = True
    return mask


def judged(network: Network, letters: np.ndarray, finding: np.ndarray) -> pd.DataFrame:
    images = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    images[:, letters] = 200
    images[:, finding] = 200
    predictions = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(COUNT)],
            "body_part": ["HAND", "WRIST"] * (COUNT // 2),
            "patient": [str(number // 2) for number in range(COUNT)],
            "label": 1,
            "fold": 0,
            "logit": network.logits(images),
        }
    )
    table = without_letters(
        predictions,
        iter(images),
        dict.fromkeys(predictions["path"], letters),
        {0: network},
        seed=0,
    )
    return table.assign(flips=(table["logit"] > 0) != (table["logit_without_letters"] > 0))


def weights_of(mask: np.ndarray) -> np.ndarray:
    return 4 * mask / mask.sum() / 200


def test_a_network_that_reads_letters_alone_is_fully_distracted(letters, finding):
    table = judged(Network(linear(weights_of(letters))), letters, finding)
    rows = distraction(table, seed=0)
    assert [row.body_part for row in rows] == ["ALL", "HAND", "WRIST"]
    assert [row.count for row in rows] == [16, 8, 8]
    for row in rows:
        assert row.score == pytest.approx(1, abs=0.01)
        assert row.interval == pytest.approx((1, 1), abs=0.01)
        assert row.elsewhere < 0.1
        assert row.mean_change == pytest.approx(4, abs=0.05)
    said = distraction_in_words(Distraction("known", tuple(rows)))
    assert said.startswith("Letters are 100.0% of the network's evidence")
    assert "more than other places" in said


def test_a_network_that_reads_the_finding_is_not_distracted(letters, finding):
    rows = distraction(judged(Network(linear(weights_of(finding))), letters, finding), seed=0)
    assert rows[0].score == pytest.approx(0, abs=1e-6)
    assert rows[0].flips == 0
    assert "not significantly more than other places" in distraction_in_words(
        Distraction("detected", tuple(rows))
    )


def test_one_that_reads_both_is_half_distracted_and_its_verdicts_flip(letters, finding):
    weights = weights_of(letters) + weights_of(finding)
    table = judged(Network(linear(weights, bias=-5.0)), letters, finding)
    rows = distraction(table, seed=0)
    assert rows[0].score == pytest.approx(0.5, abs=0.01)
    # The logit was 3, and is -1.
    assert rows[0].flips == COUNT
    assert rows[1].flips == COUNT // 2


def test_a_network_that_sees_nothing_has_no_score(letters, finding):
    rows = distraction(judged(Network(linear(np.zeros((SIDE, SIDE)))), letters, finding), seed=0)
    assert rows[0].score is None
    assert "don't differ from that of the mean training image" in distraction_in_words(
        Distraction("known", tuple(rows))
    )


def test_letters_that_are_nearly_everything_leave_no_place_elsewhere(finding):
    nearly = np.ones((SIDE, SIDE), bool)
    nearly[:, 0] = False
    rows = distraction(judged(Network(linear(weights_of(finding))), nearly, finding), seed=0)
    assert rows[0].score >= 0
    assert rows[0].elsewhere is not None


def test_no_image_with_letters():
    columns = ["body_part", "patient", "logit", "flips", "logit_of_nothing"]
    columns += ["logit_without_letters", "logit_without_elsewhere"]
    rows = distraction(pd.DataFrame(columns=columns), seed=0)
    assert rows[0].count == 0
    assert distraction_in_words(Distraction("detected", tuple(rows))).startswith(
        "No judged image has letters"
    )
