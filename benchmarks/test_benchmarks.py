"""What preparing, training and explaining cost, beside the peers that are installed.

    pytest --benchmark                       on phantoms
    MURA_DATA=FOLDER pytest --benchmark      on real radiographs
    pytest --benchmark --benchmark-autosave, and later --benchmark-compare

The unit is CPU time an image, of one thread (time on the wall for the contest of threads). On a
noisy machine the ratios are what to look at: the contestants of a contest take turns, on the same
images in the same run.
"""

from __future__ import annotations

from itertools import cycle

import pytest
from contests import CONTESTS
from race import Measured, peak_mib


class _Clock:
    """Hands pytest-benchmark what was measured when the contestants took turns."""

    def __init__(self) -> None:
        self._now = 0.0
        self._seconds = cycle([0.0])

    def set(self, seconds: list[float]) -> None:
        self._seconds = cycle(seconds)

    def advance(self) -> None:
        self._now += next(self._seconds)

    def now(self) -> float:
        return self._now


CLOCK = _Clock()


@pytest.mark.benchmark(timer=CLOCK.now)
@pytest.mark.parametrize(
    ("contest", "contestant"),
    [(contest, name) for contest, some in CONTESTS.items() for name in some.contestants],
)
def test_contestant(benchmark, races, data_folder, contest, contestant):
    measured: dict[str, Measured] = races(contest)
    if contestant not in measured:
        pytest.skip("not installed")
    benchmark.group = contest
    mine = measured[contestant]
    if contest == "whole pass" and contestant != "inflate alone":
        images = 20 if contestant == "2019's lists" else 500
        mine.peak_mib = benchmark.extra_info["peak_mib"] = peak_mib(contestant, data_folder, images)
    CLOCK.set(mine.seconds)
    benchmark.pedantic(CLOCK.advance, rounds=len(mine.seconds))


def test_peak_memory_whatever_the_number_of_images(races, data_folder, goals):
    few, many = (peak_mib("mura", data_folder, images) for images in (500, 20_000))
    goals["peak memory of 500 images, MiB above NumPy"] = (few, "<=", 60)
    goals["peak memory of 20,000 images"] = (many, "<=", 60)
    assert many - few < 10


def test_goals(races, goals):
    """Compare what was measured with what was aimed at; the table at the end says which is met."""
    whole, both, threads, memory_map = (
        races(name) for name in ("whole pass", "the pass over all images", "threads", "memory map")
    )
    ours = whole["mura"].median

    def times(name: str) -> float:
        return whole[name].median / ours

    for name, aim in (
        ("OpenCV linear, integers", 4),
        ("Pillow, Welford", 6),
        ("tf.data", 5),
        ("2019's lists", 30),
    ):
        if name in whole:
            goals[f"whole pass: {name}, times ours"] = (times(name), ">=", aim)
    goals["whole pass, times inflating alone"] = (1 / times("inflate alone"), "<=", 1.4)
    with_map = both["and the memory map"].median / both["statistics alone"].median
    goals["whole pass with the memory map, times without"] = (with_map, "<=", 1.1)
    speed_up = threads["1 thread"].median / threads["2 threads"].median
    goals["2 threads, times 1 thread"] = (speed_up, ">=", 1.6)
    from_map = 224 * 224 / memory_map["statistics from the map"].median / 1e9
    goals["statistics from the map, GB/s"] = (from_map, ">=", 3)
    feed = races("feed")
    goals["the feed of a training, images/s"] = (1 / feed["mura"].median, ">=", 10_000)
    augmented = 1 / feed["mura, flipped and shifted"].median
    goals["the feed, flipped and shifted in the step, images/s"] = (augmented, ">=", 5_000)
    times_decoding = feed["tf.data, decoding"].median / feed["mura"].median
    goals["the feed, times tf.data decoding each epoch"] = (times_decoding, ">=", 20)
    for batch_size in (8, 32):
        contest = races(f"training conv4 by {batch_size}")
        for peer, aim in (("Keras, from files", 1.2), ("PyTorch, from files", 1.0)):
            if peer in contest:
                speed_up = contest[peer].median / contest["mura"].median
                goals[f"training conv4 by {batch_size}, times {peer}"] = (speed_up, ">=", aim)
    for architecture in ("conv4", "resnet18"):
        contest = races(f"Grad-CAM of {architecture}")
        costs = contest["mura"].median / contest["predicting alone"].median
        goals[f"Grad-CAM of {architecture}, times predicting alone"] = (costs, "<=", 1.25)
        if "tf-keras-vis" in contest:
            speed_up = contest["tf-keras-vis"].median / contest["mura"].median
            goals[f"Grad-CAM of {architecture}: tf-keras-vis, times ours"] = (speed_up, ">=", 4)
    goals["shuffled batch, gathered and standardised, microseconds an image"] = (
        memory_map["shuffled batches"].median * 1e6, "<=", 30,
    )  # fmt: skip
