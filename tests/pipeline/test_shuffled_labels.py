"""A network on shuffled labels: only labels differ, and the run's own results don't."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from hypothesis import given
from hypothesis import strategies as st

from mura_core.data import Training
from mura_core.inference import load_model
from mura_core.pipeline.train_folds import with_shuffled_labels

EPOCHS = 20  # to learn some 50 images by heart


@pytest.fixture(scope="module")
def run(mura: Path, tmp_path_factory) -> Path:
    """The folder of a finished training, and of one on shuffled labels."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = mura_run(
        "train", "--data", mura, "--out", folder, "--size", "32", "--seed", "5", "--epochs", EPOCHS,
        "--learning-rate", "3e-3", "--operating-point", "youden", "--shuffled-labels",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder / "console.txt").write_text(result.output)
    return folder


def table_of(splits: list[str], labels: list[int]) -> pd.DataFrame:
    paths = [f"{number}.png" for number in range(len(splits))]
    return pd.DataFrame({"path": paths, "split": splits, "label": labels})


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["train", "tune", "valid", "unused"]), st.sampled_from([0, 1]))
    ),
    seed=st.integers(0, 2**32),
    fold=st.integers(0, 9),
)
def test_each_split_keeps_its_counts_and_judged_images_their_labels(rows, seed, fold):
    table = table_of([split for split, _ in rows], [label for _, label in rows])
    before = table.copy()
    shuffled = with_shuffled_labels(Training(fold, table), seed=seed)
    pd.testing.assert_frame_equal(table, before)  # the run's own stays as it is
    assert shuffled.fold == fold
    pd.testing.assert_frame_equal(shuffled.table.drop(columns="label"), table.drop(columns="label"))
    for split, own in table.groupby("split"):
        labels = shuffled.table["label"][own.index]
        assert labels.sum() == own["label"].sum()
        if split in ("valid", "unused"):
            assert labels.tolist() == own["label"].tolist()


def test_labels_are_shuffled_by_seed_and_fold():
    table = table_of(["train"] * 400 + ["tune"] * 400, [0, 1] * 400)

    def shuffled(seed: int, fold: int) -> np.ndarray:
        return with_shuffled_labels(Training(fold, table), seed=seed).table["label"].to_numpy()

    np.testing.assert_array_equal(shuffled(5, 1), shuffled(5, 1))
    several = [table["label"], shuffled(5, 1), shuffled(5, 2), shuffled(6, 1)]
    for rows in (slice(0, 400), slice(400, 800)):
        # By chance two agree on half of the images, give or take a deviation of 1/40.
        agreement = np.corrcoef([labels[rows] for labels in several])
        assert np.abs(agreement[np.triu_indices(4, 1)]).max() < 0.25


def test_a_network_on_shuffled_labels_knows_its_images_by_heart_and_cannot_judge(run: Path):
    true, shuffled = (
        pd.read_csv(folder / "history.csv").iloc[-1] for folder in (run, run / "shuffled")
    )
    assert true["epoch"] == shuffled["epoch"] == EPOCHS
    assert true["val_loss"] < 0.3
    assert shuffled["accuracy"] > 0.9
    # Knowing nothing gives log 2, 0.69; some 50 permuted labels agree with the true ones by chance.
    assert shuffled["val_loss"] > 0.5


def test_the_run_says_what_it_trains_and_keeps_both_apart(run: Path):
    written = {path.name for path in (run / "shuffled").iterdir()}
    assert written == {"model.keras", "history.csv", "checkpoint.npz"}
    console = (run / "console.txt").read_text()
    assert console.count(f"Training conv4 on shuffled labels for {EPOCHS} epochs") == 1
    assert console.count(f"Epoch {EPOCHS} of {EPOCHS}: ") == 1
    assert console.count(f"Epoch {EPOCHS} of {EPOCHS} on shuffled labels: ") == 1
    assert "shuffled_labels: true" in (run / "config.yaml").read_text()


def test_a_run_killed_before_its_shuffled_labels_trains_on_these_alone(run: Path, tmp_path: Path):
    killed = tmp_path / "run"
    shutil.copytree(run, killed)
    shutil.rmtree(killed / "shuffled")
    result = mura_run("train", "--resume", killed)
    assert result.exit_code == 0, result.output
    assert f"of {EPOCHS}: " not in result.output
    assert f"Epoch 1 of {EPOCHS} on shuffled labels: " in result.output
    for name in ("predictions.csv", "tuning.csv", "history.csv", "metrics.json"):
        assert (killed / name).read_bytes() == (run / name).read_bytes()
    weights = [
        load_model(folder / "shuffled" / "model.keras").get_weights() for folder in (run, killed)
    ]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mura_core.cli", "train", *map(str, arguments)]


@pytest.mark.exhaustive  # other tests kill trainings and folds
def test_the_runs_own_results_are_the_same_bits_even_if_killed_on_shuffled_labels(
    mura: Path, tmp_path: Path
):
    plain, whole, killed = (tmp_path / name for name in ("plain", "whole", "killed"))
    settings = (
        "--data", mura, "--size", "32", "--seed", "5", "--validate", "kfold", "--folds", "2",
        "--epochs", "3", "--augment", "flip", "--deterministic",
    )  # fmt: skip
    subprocess.run(command("--out", plain, *settings), check=True, capture_output=True)
    settings = (*settings, "--shuffled-labels")
    subprocess.run(command("--out", whole, *settings), check=True, capture_output=True)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command("--out", killed, *settings), stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stdout:
            if line.startswith("Epoch 1 of 3 on shuffled labels"):
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    # What was trained before is kept: the first fold, and an epoch on shuffled labels at least.
    resumed = subprocess.run(
        command("--resume", killed), check=True, capture_output=True, text=True
    ).stdout
    first, second = resumed.split("Fold 2 of 2")
    assert "Already trained" in first
    assert "of 3: " not in first
    assert "Epoch 1 of 3 on shuffled labels" not in first
    assert "Epoch 3 of 3 on shuffled labels" in first
    assert "Epoch 1 of 3: " in second
    for run in (whole, killed):
        assert not (run / "shuffled").exists()
        for name in ("predictions.csv", "metrics.json"):
            assert (run / name).read_bytes() == (plain / name).read_bytes()
    for fold in ("1", "2"):
        weights = [
            load_model(run / "folds" / fold / "shuffled" / "model.keras").get_weights()
            for run in (whole, killed)
        ]
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)
