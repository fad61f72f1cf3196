"""Run jobs from standard input, and write their outcomes to standard output as JSON lines.

python -m mura_core.pipeline.device_check.worker < request.json
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mura_core.errors import first_reason
from mura_core.pipeline.device_check.records import SIXTEEN, Job, Outcome, Setting
from mura_plugins import NotApplicable

_LONGEST = 300  # characters of a reason


def main() -> None:
    """Run the jobs of a request, and write a line of outcomes after each."""
    # Standard output is for outcomes only; everything else that is printed goes to the log.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    setting = Setting(**request["setting"])
    _start(setting)
    for job in (Job(**fields) for fields in request["jobs"]):
        print(f"--- {job.check} {job.ways} on {setting.called}", file=sys.stderr, flush=True)
        outcomes = [asdict(outcome) for outcome in _outcomes(job, setting)]
        print(json.dumps(outcomes), file=answers, flush=True)


def _start(setting: Setting) -> None:
    import tensorflow as tf

    from mura_core.inference import start_tensorflow

    if setting.devices == "cpu":
        tf.config.set_visible_devices([], "GPU")
    if setting.divide:
        [device, *_] = tf.config.list_physical_devices(setting.divide.upper())
        memory = setting.divided_bytes // 2**20 or None  # MiB
        half = tf.config.LogicalDeviceConfiguration(memory_limit=memory)
        tf.config.set_logical_device_configuration(device, [half] * 2)
    start_tensorflow(seed=0)


def _outcomes(job: Job, setting: Setting) -> list[Outcome]:
    """Return the outcomes of a job; an exception becomes a failed outcome."""
    found: list[Outcome] = []

    def do(_: str) -> Outcome:
        found.extend(_function_of(job.check)(job, setting))
        return found[0]

    failed = attempt(job.check, f"{job.ways}, {setting.called}".strip(", "), do)
    return found or [failed]


def attempt(check: str, subject: str, function: Callable[[str], Outcome]) -> Outcome:
    """Return the outcome of a function, or a failed outcome if it raises.

    Parameters
    ----------
    check : str
        Kind of the check.
    subject : str
        What is checked.
    function : callable
        Takes the subject, and returns an outcome.
    """
    try:
        return function(subject)
    except NotApplicable as error:
        return Outcome(check, subject, "not applicable", reason=error.reason)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {first_reason(error)}"[:_LONGEST]
        return Outcome(check, subject, "failed", reason=reason)


def _function_of(check: str) -> Callable[[Job, Setting], list[Outcome]]:
    if check == "training":
        from mura_core.pipeline.device_check.trials import train

        return train
    if check == "explaining":
        from mura_core.pipeline.device_check.explanations import explain

        return lambda job, setting: explain(job, setting, attempt)
    if check == "run":
        return _run
    from mura_core.pipeline.device_check.machine import look_at_devices, look_at_memory_limit

    return {"devices": look_at_devices, "memory limit": look_at_memory_limit}[check]


def _run(job: Job, setting: Setting) -> list[Outcome]:
    """Train, evaluate, explain and report, as `mura-run` does, on a few phantoms."""
    from mura_core.pipeline.run import run_pipeline
    from mura_core.runs import RunConfig, read_predictions
    from mura_core.training import read_history

    folder = Path(setting.folder) / f"run in {job.precision}"
    config = RunConfig(
        data=str(Path(setting.folder) / "PHANTOMS"),
        model=job.network,
        size=64,
        epochs=2,
        batch_size=setting.batch_size,
        augment=("flip", "rotate"),
        mixed_precision=job.precision == SIXTEEN,
        devices=setting.devices,
        explain=("gradcam",),
        explain_images="2",
    )
    run_pipeline(config, folder)
    history: list[dict[str, Any]] = read_history(folder)
    seconds = history[-1]["seconds"]
    images = len(read_predictions(folder))
    measured = f"{len(history)} epochs, the last in {seconds:.1f} s; {images} images evaluated"
    subject = f"mura-run --model {job.network}, {job.precision}, {setting.called}"
    return [Outcome("whole run", subject, "passed", measured, numbers={"seconds": seconds})]


if __name__ == "__main__":
    main()
