"""How commands end: on signals, on faults of the program, and with names that a terminal obeys."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import mura_run, refused
from data_sets import write_image

from mura_core.cli import main


def stopped_at(start: str, number: int, *arguments: object) -> tuple[int, list[str]]:
    """Return the exit status and the errors of a run that gets a signal after a line."""
    command = [sys.executable, "-m", "mura_core.cli", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # A shell's background jobs ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        for line in process.stdout:
            if line.startswith(start):
                process.send_signal(number)
        errors = process.stderr.read().strip().splitlines()
    # A slow machine may have printed progress before.
    return process.returncode, [one for one in errors if not re.search(r": \d+ of \d+ ", one)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_a_signal_ends_training_in_one_line_that_says_what_is_safe(
    own_mura: Path, tmp_path: Path, number: int, status: int
):
    out = tmp_path / "run"
    given = ("--data", own_mura, "--out", out, "--size", "32", "--epochs", "1000")
    returned, errors = stopped_at("Epoch 2 ", number, *given)
    assert returned == status
    [stopped] = errors
    assert stopped.startswith("Stopped: prepared images stay in the cache")
    assert "model.keras" in stopped
    assert (out / "model.keras").is_file()
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_training_ends_in_one_line(own_mura: Path, tmp_path: Path, number: int):
    given = ("--data", own_mura, "--out", tmp_path / "run", "--size", "32")
    returned, errors = stopped_at("Data: ", number, *given)
    assert returned == 128 + number
    [stopped] = errors
    assert stopped.startswith("Stopped: prepared images stay in the cache, and a repeated command")


def test_a_fault_of_the_program_is_one_line_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def evaluate_run(folder: Path, **settings: object) -> None:
        raise IndexError("of our\nown making")

    monkeypatch.setattr("mura_core.pipeline.evaluate_run", evaluate_run)
    run = tmp_path / "run"
    run.mkdir()
    result = CliRunner().invoke(main, ["evaluate", str(run)])
    assert result.exit_code == 70
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: this is a fault of mura-run or of a plugin, not of your data")
    assert "(IndexError: of our own making)" in line
    assert line.endswith(f"The details are in {run}/fault.txt: please report them.")
    assert "in evaluate_run" in (run / "fault.txt").read_text()


def test_what_a_terminal_would_obey_is_escaped(tmp_path: Path):
    refused(1, r"red\x1b[31m", "--data", tmp_path / "red\x1b[31m", "--out", tmp_path / "run")
    refused(1, r"two\nlines: no such", "--data", tmp_path / "two\nlines", "--out", tmp_path / "run")
    hand = tmp_path / "data" / "train" / "XR_HAND"
    for number in range(2):
        for label in ("positive", "negative"):
            study = hand / f"patient{number}{label}" / f"study1_{label}"
            study.mkdir(parents=True)
            write_image(study / "image1.png", np.zeros((40, 40), np.uint8))
    (hand / "patient0positive" / "study1_positive" / "\x1b]0;title\x07.png").write_bytes(
        b"no image"
    )
    result = mura_run("prepare", "--data", tmp_path / "data", "--size", "32")
    assert result.exit_code == 0, result.output
    assert r"\x1b]0;title\x07.png" in result.stderr
    assert "\x1b" not in result.output
    assert "\x07" not in result.output


@pytest.mark.parametrize(
    "option", [("--config", "c.yaml"), ("--recipe", "half-hour"), ("--epochs", 3)]
)
def test_a_resumed_run_keeps_its_settings(option: tuple, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "c.yaml", tmp_path / "run" / "config.yaml"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("epochs: 2\n")
    refused(
        2,
        f"--resume uses the run's own settings; leave out {option[0]}",
        *option,
        "--resume",
        tmp_path / "run",
    )
    refused(
        2,
        f"--resume uses the run's own settings; leave out {option[0]}",
        "--resume",
        tmp_path / "run",
        *option,
    )
    # How much is printed is no setting.
    (tmp_path / "run" / "config.yaml").write_text("epochs: 2\ndata: nowhere\n")
    refused(1, "nowhere: no such file or folder", "--quiet", "--resume", tmp_path / "run", "-v")
