"""Explainers that break their contract in a run: named in one line, while the others go on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run

from mura_core.inference import load_model

HONEST = """
import sys
import numpy as np
import mura_plugins as mura

def honest(network, images, *, toward, seed):
    return np.abs(network.pixel_gradients(images))

def also_honest(network, images, *, toward, seed):
    return honest(network, images, toward=toward, seed=seed)
"""

# The function, and what is said of it; `None` where its maps are drawn nevertheless.
UNUSABLE = {
    "raises": ("raise ValueError('in the\\nmiddle')", "ValueError: in the middle"),
    "raises_late": (
        "raises_late.calls = getattr(raises_late, 'calls', 0) + 1\n"
        "    if raises_late.calls > 1: raise RuntimeError('late')",
        "RuntimeError: late",
    ),
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "asks": ("raise mura.PluginError('install their-weights')", "install their-weights"),
    "undefined": ("maps[0, 0, 0] = np.nan", "maps contain NaN or infinity"),
    "flat": ("maps = maps[0]", "maps have shape (32, 32); expected (N, h, w)"),
    "too_few": ("maps = maps[1:]", "expected (N, h, w) with N = 8, one per image"),
    "empty": ("maps = maps[:, :0]", "maps have shape (8, 0, 32); expected (N, h, w)"),
    "nothing": ("maps = None", "it returned a NoneType, not an ndarray of maps"),
    "words": ("maps = maps.astype(str)", "not float32"),
    "varies": (
        "maps = maps[:, : 32 - (toward * len(images) < 8)]",
        "maps have shape (1, 31, 32); expected (N, 32, 32)",
    ),
    "trains": (
        "model = network.model\n    model.set_weights([2 * w for w in model.get_weights()])",
        "it changes the network that it explains",
    ),
    "freezes": ("network.model.trainable = False", "it changes the network that it explains"),
}
USABLE = {
    "doubles": ("maps = maps.astype(float)", "maps are float64, not float32"),
    "negative": ("maps = -maps", "an unsigned map has negative values."),
    "paints": ("images[:] = 0", "it changes the images that it gets, which are copies"),
}


def plugin(names: list[str]) -> str:
    faults = {"honest": (), "also_honest": ()} | UNUSABLE | USABLE
    functions = [
        f"def {name}(network, images, *, toward, seed):\n"
        f"    maps = honest(network, images, toward=toward, seed=seed)\n"
        f"    {faults[name][0]}\n    return maps\n"
        for name in names
        if faults[name]
    ]
    records = ", ".join(f"mura.Explainer('{one}', 'mura_broken:{one}', '', '')" for one in names)
    hook = f"@mura.hookimpl\ndef mura_explainers(): return [{records}]\n"
    return HONEST + "\n".join([*functions, hook])


@pytest.fixture(scope="module")
def run(tmp_path_factory, mura) -> Path:
    folder = tmp_path_factory.mktemp("broken") / "run"
    done = mura_run(
        "train", "--data", mura, "--model", "conv2", "--size", 32, "--epochs", 1, "--out", folder
    )
    assert done.exit_code == 0, done.output
    return folder


def explain(run: Path, *names: str, images: int = 9):
    methods = [option for name in names for option in ("--explain", name)]
    return mura_run("explain", run, *methods, "--explain-images", images)


def test_a_broken_explainer_is_named_and_the_others_are_drawn(install, run):
    names = ["honest", *UNUSABLE, *USABLE, "also_honest"]
    install("mura-broken", plugin(names))
    weights = load_model(run / "model.keras").get_weights()
    done = explain(run, *names)
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    for name, (_, reason) in UNUSABLE.items():
        start = f"The explainer {name} of mura-broken is not used: "
        [said] = [line for line in lines if line.startswith(start)]
        assert reason in said
        assert said.endswith("Update or uninstall mura-broken.")
    for name, (_, reason) in USABLE.items():
        start = f"The explainer {name} of mura-broken breaks its contract: {reason}"
        assert sum(line.startswith(start) for line in lines) == 1, (name, done.stderr)
    table = pd.read_csv(run / "heatmaps" / "heatmaps.csv")
    assert table["explainer"].unique().tolist() == ["honest", *USABLE, "also_honest"]
    assert all((run / path).is_file() for path in table["heatmap"])
    # Maps after those that changed images, the network or its weights are those from before.
    maps = {name: list(rows["map"]) for name, rows in table.groupby("explainer")}
    for one, other in zip(maps["honest"], maps["also_honest"], strict=True):
        assert np.array_equal(np.load(run / one), np.load(run / other))
    scores = table.groupby("explainer")["deletion"].apply(list)
    assert scores["honest"] == scores["also_honest"]
    after = load_model(run / "model.keras").get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(weights, after, strict=True))


def test_maps_are_drawn_without_scores_if_later_explanations_fail(install, run):
    source = plugin(["honest", "raises_late"]).replace("calls > 1", "calls > 2")
    install("mura-broken", source)
    done = explain(run, "honest", "raises_late")
    assert done.exit_code == 0, done.output
    assert "The heatmaps by raises_late aren't scored. The explainer raises_late of" in done.stderr
    table = pd.read_csv(run / "heatmaps" / "heatmaps.csv").set_index("explainer")
    assert len(table.loc["raises_late"]) == 9
    assert table.loc["honest", "deletion"].notna().any()
    assert table.loc["raises_late", "deletion"].isna().all()
    assert "raises_late" in (run / "report.html").read_text()


def test_the_exit_status_says_that_nothing_could_be_drawn(install, run):
    install("mura-broken", plugin(["honest", "raises", "flat"]))
    done = explain(run, "raises", "flat")
    assert done.exit_code == 2
    assert "none of raises, flat can explain this network" in done.stderr


def test_a_run_is_reported_if_nothing_could_be_drawn(install, mura, tmp_path):
    install("mura-broken", plugin(["honest", "raises"]))
    done = mura_run(
        "run", "--data", mura, "--model", "conv2", "--size", 32, "--epochs", 1,
        "--explain", "raises", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == "Error: none of raises can explain this network"
    assert (tmp_path / "run" / "report.html").is_file()


def test_new_images_are_explained_by_the_other_methods(install, run, mura, tmp_path):
    install("mura-broken", plugin(["honest", "trains", "raises", "also_honest"]))
    names = ("honest", "trains", "raises", "also_honest")
    methods = [option for name in names for option in ("--explain", name)]
    images = mura / "MURA-v1.1" / "valid" / "XR_WRIST"
    done = mura_run("predict", run, images, *methods, "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert "trains of mura-broken is not used: it changes the network" in done.stderr
    assert "raises of mura-broken is not used: ValueError: in the middle" in done.stderr
    table = pd.read_csv(tmp_path / "new" / "heatmaps" / "heatmaps.csv")
    maps = {name: list(rows["map"]) for name, rows in table.groupby("explainer")}
    assert list(maps) == ["also_honest", "honest"]
    for one, other in zip(maps["honest"], maps["also_honest"], strict=True):
        assert np.array_equal(np.load(tmp_path / "new" / one), np.load(tmp_path / "new" / other))
