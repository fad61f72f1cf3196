"""`mura-run check-device` notices what is wrong, and one failure doesn't end the other checks."""

import json
import sys

import numpy as np
import pytest
from command_line import mura_run

from mura_core.inference import devices
from mura_core.pipeline.device_check import checking, processes
from mura_core.pipeline.device_check.checking import Plan, plan_for
from mura_core.pipeline.device_check.explanations import compare_maps
from mura_core.pipeline.device_check.gpu_memory import Memory, memory_outcome
from mura_core.pipeline.device_check.jobs import groups_of_jobs, untried
from mura_core.pipeline.device_check.losses import compare_losses
from mura_core.pipeline.device_check.records import Job, Outcome, Setting

PLUGIN = """
import mura_plugins as mura

@mura.hookimpl
def mura_architectures():
    for name in ("aborts", "raises", "not_a_number"):
        yield mura.Architecture(name, f"planted:{name}", "Planted.", "None")

@mura.hookimpl
def mura_explainers():
    yield mura.Explainer("nan-maps", "planted:nan_maps", "Planted.", "None")
"""

PLANTED = """
import os
import keras
import numpy as np

def aborts(shape):
    os.write(2, b"free(): invalid pointer\\n")
    os.abort()

def raises(shape):
    raise RuntimeError("no such kernel\\nmore of it")

def not_a_number(shape):
    inputs = keras.Input(shape)
    logit = keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(float("nan")))
    return keras.Model(inputs, logit(keras.layers.Flatten()(inputs)))

def nan_maps(network, images, *, toward, seed):
    return np.full(images.shape, np.nan, np.float32)
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Networks and an explainer that fail, installed as a plugin."""
    folder = tmp_path / "site"
    info = folder / "mura_planted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mura-planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mura]\nplanted = planted_plugin\n")
    (folder / "planted_plugin.py").write_text(PLUGIN)
    (folder / "planted.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(folder)


# What is compared -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "status", "reason"),
    [
        ([(0, 0.8), (1, 0.6), (2, 0.4)], "passed", ""),
        ([(0, 0.8), (1, 0.607), (2, 0.4)], "passed", ""),  # 0.007 of 0.8 is less than 0.01
        ([(0, 0.8), (1, 0.609), (2, 0.4)], "failed", "at step 2 the loss is 0.60900; the CPU's is"),
        ([(0, 0.8), (1, np.nan), (2, 0.4)], "failed", "the loss of step 2 is nan"),
        ([(0, 0.8), (1, 0.6), (2, np.inf)], "failed", "the loss of step 3 is inf"),
        # Steps without an update are compared with the loss before it.
        (
            [(0, 0.8), (0, 0.8), (1, 0.6)],
            "passed",
            "steps skipped because their gradients overflowed: 1",
        ),
        ([(0, 0.8), (0, 0.8), (0, 0.8)], "failed", "every step was skipped"),
    ],
)
def test_losses_are_compared_by_the_number_of_updates(seen, status, reason):
    outcome = compare_losses(seen, [0.8, 0.6, 0.4], 0.01, "a network")
    assert outcome.status == status
    assert outcome.reason.startswith(reason)


def test_a_loss_that_does_not_fall_fails():
    outcome = compare_losses([(0, 0.5), (1, 0.5)], [0.5, 0.5], 0.01, "a network")
    assert outcome.status == "failed"
    assert "doesn't learn" in outcome.reason
    augmented = compare_losses([(0, 0.5), (1, 0.6)], [0.5, 0.6], 0.01, "a network", falls=False)
    assert augmented.status == "passed"


def test_maps_are_compared_by_their_root_mean_square():
    expected = np.array([[[0, 2], [0, 0]]], np.float32)  # its norm is 2
    near, far = (expected + np.float32(off) for off in (0.09, 0.11))  # norms of 0.18 and 0.22
    assert compare_maps(near, expected, "", 1.0).status == "passed"
    assert compare_maps(far, expected, "", 1.0).status == "failed"
    assert compare_maps(expected[:, :1], expected, "", 1.0).status == "failed"
    assert compare_maps(np.full_like(expected, np.nan), expected, "", 1.0).status == "failed"
    nothing = compare_maps(0 * expected, 0 * expected, "", 1.0)
    assert (nothing.status, nothing.reason) == ("passed", "they are empty")


def test_memory_is_compared_with_the_plan():
    memory = Memory([])
    assert memory_outcome(2**30, memory, "").status == "not applicable"
    memory.gpus = ["GPU:0"]
    gib = 2**30
    for taken, status in ((0.3, "failed"), (0.5, "passed"), (1.1, "passed"), (1.3, "failed")):
        memory.steady = int(taken * gib)
        assert memory_outcome(gib, memory, "").status == status, taken


@pytest.mark.parametrize(("gpus", "several"), [(0, "cpu:0,cpu:1"), (1, "gpu:0,gpu:1"), (2, "all")])
def test_every_way_to_train_is_tried_on_every_device(gpus, several):
    plan = Plan()
    groups = list(groups_of_jobs(plan, "folder", gpus))
    done = {setting.devices: set(jobs) for setting, jobs in groups for _ in jobs}
    one = "gpu:0" if gpus else "cpu"
    assert list(done)[-1] == several
    for network in plan.networks:
        for precision in ("float32", "16 bits"):
            for xla in (False, True):
                assert any(
                    Job("training", network, precision, xla) in jobs
                    for setting, jobs in groups
                    if setting.devices == one
                )
            if gpus:
                assert Job("training", network, precision) in done[several]
        assert Job("training", network) in done[several]
    # What others are compared with comes first, on the CPU.
    references = groups[0][1]
    assert groups[0][0].is_reference
    for jobs in done.values():
        for job in jobs:
            if job.check == "training":
                assert Job("training", job.network, extra=job.extra) in references
    said = {outcome.subject for outcome in untried(plan, gpus)}
    assert ("one GPU" in said, "several GPUs" in said) == (gpus == 0, gpus < 2)


# What goes wrong ------------------------------------------------------------------------------


def test_a_process_that_is_aborted_fails_its_own_job_only(planted, tmp_path):
    plan = Plan(size=32, updates=3)
    checking._prepare_phantoms(plan, tmp_path)
    setting = Setting(str(tmp_path), "cpu", "CPU", updates=plan.updates)
    jobs = [Job("training", name) for name in ("raises", "not_a_number", "aborts", "nothing")]
    found = list(processes.run_jobs(setting, jobs, tmp_path / "log.txt"))
    assert [one.status for one in found if one.check != "memory"] == ["failed"] * 4
    reasons = {one.subject.partition(",")[0]: one.reason for one in found if one.status == "failed"}
    assert "planted:raises: the network can't be built" in reasons["raises"]
    assert "RuntimeError: no such kernel" in reasons["raises"]
    assert reasons["not_a_number"] == "the loss of step 1 is nan"
    assert "SIGABRT" in reasons["aborts"]
    assert "free(): invalid pointer" in reasons["aborts"]
    assert "'nothing' is not one of" in reasons["nothing"]
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_a_process_that_hangs_is_ended(tmp_path, monkeypatch):
    asleep = (sys.executable, "-c", "import time; time.sleep(600)")
    monkeypatch.setattr(processes, "_WORKER", asleep)
    setting = Setting(str(tmp_path), "cpu", "CPU")
    jobs = processes.run_jobs(setting, [Job("devices")], tmp_path / "log.txt", seconds=0.5)
    [outcome] = jobs
    assert outcome.status == "failed"
    assert "gave no answer in 0 s" in outcome.reason or "gave no answer in 1 s" in outcome.reason


def test_a_gpu_that_tensorflow_does_not_see_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr(devices, "nvidia_gpus", lambda: ["/dev/nvidia0"])
    devices.strategy_on("all")
    assert "pip install 'mura-run[gpu]'" in caplog.text
    caplog.clear()
    devices.strategy_on("cpu")
    assert not caplog.text


# The command ----------------------------------------------------------------------------------


def check(out, *options: str):
    return mura_run("check-device", "--out", str(out), *options)


@pytest.mark.parametrize("failed", [False, True])
def test_the_exit_status_and_the_page_say_what_failed(tmp_path, monkeypatch, failed):
    outcomes = [
        Outcome("devices", "CPU", "passed", "2 cores"),
        Outcome(
            "losses",
            "conv4, <XLA>",
            "failed" if failed else "passed",
            reason="no kernel",
            numbers={"losses": [0.7, float("nan")]},
        ),
    ]
    monkeypatch.setattr(checking, "_outcomes", lambda *_: iter(outcomes))
    result = check(tmp_path)
    assert result.exit_code == failed
    page = (tmp_path / "index.html").read_text()
    assert ("Failed checks" in page) == failed
    assert "conv4, &lt;XLA&gt;" in page
    written = json.loads((tmp_path / "check.json").read_text())["outcomes"]
    assert [one["status"] for one in written] == [one.status for one in outcomes]
    assert written[1]["numbers"]["losses"] == [0.7, "nan"]
    if failed:
        assert "1 of 2 checks failed. To report it, send the files" in result.output


def test_an_unknown_architecture_is_named(tmp_path):
    result = check(tmp_path, "--model", "conv9")
    assert result.exit_code == 2
    assert "'conv9' is not one of" in result.output


@pytest.mark.slow
def test_the_whole_check_passes_but_for_what_is_planted(planted, tmp_path):
    result = check(tmp_path, "--quick", "--model", "conv4", "--size", "32")
    outcomes = json.loads((tmp_path / "check.json").read_text())["outcomes"]
    failed = [one for one in outcomes if one["status"] == "failed"]
    assert [one["subject"] for one in failed] == ["nan-maps, conv4, CPU"], failed
    assert failed[0]["reason"] == "the heatmaps hold NaN or infinity"
    assert result.exit_code == 1
    passed = {one["subject"] for one in outcomes if one["status"] == "passed"}
    assert {
        "conv4, float32, CPU (reference)",
        "conv4, float32, XLA, CPU",
        "conv4, 16 bits, CPU",
        "conv4, float16, CPU",
        "conv4, float32, two halves of the CPU",
        "conv4, float16, two halves of the CPU",
        "rise, conv4, CPU",
        "mura-run --model conv4, float32, CPU",
    } <= passed
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "site") == [
        "check.json",
        "index.html",
        "log.txt",
    ]


def test_quick_trains_one_network():
    assert plan_for((), None, quick=True).networks == ("conv4",)
    assert plan_for(("resnet18",), 48, quick=False) == Plan(networks=("resnet18",), size=48)
