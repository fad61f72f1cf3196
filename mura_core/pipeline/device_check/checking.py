"""Run the whole device check: draw phantoms, do the jobs and write a page of results."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mura_core.data import prepare, read_manifest
from mura_core.errors import MuraError
from mura_core.files import replacing
from mura_core.heatmaps import finding_boxes
from mura_core.imaging import Square
from mura_core.inference import nvidia_gpus
from mura_core.phantoms import write_phantoms
from mura_core.pipeline.device_check.jobs import Plan, groups_of_jobs, untried
from mura_core.pipeline.device_check.page import check_page
from mura_core.pipeline.device_check.processes import run_jobs
from mura_core.pipeline.device_check.records import Job, Outcome, Setting

log = logging.getLogger("mura")

_FEWEST_PHANTOMS = 24


def plan_for(networks: Sequence[str], size: int | None, *, quick: bool) -> Plan:
    """Return the plan of the check, with larger images and batches if there is a GPU.

    Parameters
    ----------
    networks : sequence of str
        Architectures to train; empty for the default ones.
    size : int or None
        Side of the images, in pixels; None for the default.
    quick : bool
        Whether to run fewer checks.
    """
    plan = Plan(quick=quick)
    if quick:
        plan = replace(plan, networks=plan.networks[:1], updates=5)
    elif nvidia_gpus():
        plan = replace(plan, size=224, batch_size=32, images=2)
    plan = replace(plan, networks=tuple(networks) or plan.networks)
    return plan if size is None else replace(plan, size=size)


def check_device(plan: Plan, out: Path) -> None:
    """Check the devices, and write `index.html`, `check.json` and `log.txt`.

    Parameters
    ----------
    plan : Plan
        What to check.
    out : Path
        Folder to write to; it is created if necessary.

    Raises
    ------
    MuraError
        If a check failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="check-", dir=out) as folder:
        for outcome in _outcomes(plan, Path(folder), out / "log.txt"):
            found.append(outcome)
            _say(outcome)
    with replacing(out / "check.json") as file:
        record = {"plan": asdict(plan), "outcomes": [asdict(one) for one in found]}
        json.dump(_as_json(record), file, indent=1, allow_nan=False)
    with replacing(out / "index.html") as file:
        file.write(check_page(plan, found))
    counts = Counter(one.status for one in found)
    log.info("\n%s", ", ".join(f"{count} {status}" for status, count in counts.items()))
    log.info("Page: %s", out / "index.html")
    if counts["failed"]:
        raise MuraError(
            f"{counts['failed']} of {len(found)} checks failed. To report it, send the files"
            f" check.json and log.txt in {out}"
        )


def _outcomes(plan: Plan, folder: Path, messages: Path) -> Iterator[Outcome]:
    messages.unlink(missing_ok=True)
    # All GPUs stay visible, because this job lists them.
    devices = list(run_jobs(Setting(str(folder), "all", ""), [Job("devices")], messages))
    yield from devices
    if not any(one.status == "passed" for one in devices):
        return  # TensorFlow doesn't start.
    gpus = sum(one.subject.startswith("gpu:") for one in devices)
    # Even half a batch must divide equally between the devices.
    shares = 2 * max(gpus, 2)
    plan = replace(plan, batch_size=-(-plan.batch_size // shares) * shares)
    _prepare_phantoms(plan, folder)
    for setting, jobs in groups_of_jobs(plan, str(folder), gpus):
        yield from run_jobs(setting, jobs, messages)
    yield from untried(plan, gpus)


def _prepare_phantoms(plan: Plan, folder: Path) -> None:
    """Draw phantoms, and write the images, labels, boxes and statistics for the jobs."""
    square = Square(plan.size)
    data = write_phantoms(folder, max(_FEWEST_PHANTOMS, plan.batch_size), valid=8)
    manifest = read_manifest(data)
    prepared = prepare(manifest, folder / "cache", square)
    boxes = finding_boxes(manifest, prepared, square, {})
    assert boxes is not None, "half of the phantoms have a finding"
    labels = prepared.table["label"].to_numpy()
    # Alternate the labels, because the first images form the training batch.
    training = np.flatnonzero(prepared.table["split"] == "train")
    by_label = [training[labels[training] == label] for label in (0, 1)]
    rows = np.array([row for pair in zip(*by_label, strict=False) for row in pair])
    np.savez(
        folder / "data.npz",
        allow_pickle=False,
        images=prepared.images[rows],
        labels=labels[rows],
        boxes=boxes[rows],
    )
    prepared.statistics().save(folder / "statistics.npz")


def _as_json(value: Any) -> Any:
    """Return a record with NaN and infinities, which JSON lacks, as text."""
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _say(outcome: Outcome) -> None:
    said = "; ".join(filter(None, (outcome.measured, outcome.reason)))
    log.info("%-14s  %s: %s: %s", outcome.status, outcome.check, outcome.subject, said)
