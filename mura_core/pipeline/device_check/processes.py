"""Run jobs in separate processes, so that one that aborts or hangs fails only its own job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Timer
from typing import IO

from mura_core.pipeline.device_check.records import Job, Outcome, Setting

_SECONDS = 900.0  # Compiling the kernels for a new kind of GPU takes many minutes.
_SECONDS_TO_END = 30.0
_WORKER = (sys.executable, "-m", "mura_core.pipeline.device_check.worker")


def run_jobs(
    setting: Setting, jobs: Sequence[Job], log: Path, *, seconds: float = _SECONDS
) -> Iterator[Outcome]:
    """Run jobs one after another in a separate process, and yield their outcomes.

    A job whose process ends or doesn't answer in time fails; the remaining jobs run in a new
    process.

    Parameters
    ----------
    setting : Setting
        The devices, and how much to do.
    jobs : sequence of Job
        What to do.
    log : Path
        File to which the standard error of the process is appended.
    seconds : float
        Time limit of each job.

    Yields
    ------
    Outcome
        The outcomes of each job, in order.
    """
    waiting = list(jobs)
    while waiting:
        with _worker(setting, waiting, log) as process:
            while waiting:
                started = time.monotonic()
                answer = _answer(process, seconds)
                if not answer:
                    break
                waiting.pop(0)
                yield from (Outcome(**fields) for fields in json.loads(answer))
        if waiting:
            job = waiting.pop(0)
            subject = f"{job.ways}, {setting.called}".strip(", ")
            late = time.monotonic() - started >= seconds
            reason = (
                f"its process gave no answer in {seconds:.0f} s; see log.txt"
                if late
                else _how_it_ended(process.returncode, log)
            )
            yield Outcome(job.check, subject, "failed", reason=reason)


@contextmanager
def _worker(setting: Setting, jobs: Sequence[Job], log: Path) -> Iterator[subprocess.Popen[str]]:
    request = {"setting": asdict(setting), "jobs": [asdict(job) for job in jobs]}
    # The cache is removed with the folder. The log level keeps TensorFlow's messages about missing
    # libraries.
    environment = os.environ | {
        "XDG_CACHE_HOME": str(Path(setting.folder) / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with log.open("ab") as messages:
        process = subprocess.Popen(  # noqa: S603
            _WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        try:
            _send(_pipe(process.stdin), json.dumps(request))
            yield process
            # Its jobs are done, or it has ended or been killed; it exits within moments.
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
        finally:
            process.kill()
            process.wait()
            _pipe(process.stdout).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "both were asked for"
    return pipe


def _send(pipe: IO[str], text: str) -> None:
    # A process that has already ended can't be written to; `_answer` will notice.
    with suppress(BrokenPipeError), pipe:
        pipe.write(text)


def _answer(process: subprocess.Popen[str], seconds: float) -> str:
    """Return the next line of a process's output; empty if it ends or exceeds the time limit."""
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        line = _pipe(process.stdout).readline()
    finally:
        timer.cancel()
    return line if line.endswith("\n") else ""


def _how_it_ended(status: int, log: Path) -> str:
    """Return a clause with how a process ended, and the last line of its log."""
    how = f"exit status {status}"
    if status < 0:
        how = f"signal {signal.Signals(-status).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.startswith("---")]
    return f"its process ended ({how}); last line of the log: {(said or ['none'])[-1][:300]}"
