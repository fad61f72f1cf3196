"""Compare the heatmaps of a few phantoms, by every installed method, with those of the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mura_core.heatmaps import evidence
from mura_core.pipeline.device_check.records import Job, Outcome, Setting, Status
from mura_core.pipeline.explained import explainers_named
from mura_core.pipeline.explainer import CheckedExplainer
from mura_plugins import NotApplicable
from mura_plugins.manager import load_plugins, resolve
from mura_plugins.network import Network

_SEED = 2019
_TOLERANCE = 0.1  # root mean square difference, relative to the root mean square of the CPU's maps


def explain(job: Job, setting: Setting, attempt: Callable[..., Outcome]) -> list[Outcome]:
    """Return one outcome per method, for the network that was trained on the CPU.

    Parameters
    ----------
    job : Job
        The network to explain.
    setting : Setting
        The device, and the number of images.
    attempt : callable
        Takes a check, a subject and a function. Returns the function's outcome, or a failed
        outcome if it raises, so that the other methods are still checked.
    """
    import tensorflow as tf

    from mura_core.pipeline.device_check.trials import build, reference_of

    tf.config.experimental.enable_tensor_float_32_execution(False)
    folder = Path(setting.folder)
    model = build(job.network, job.extra, folder)
    with np.load(reference_of(job, folder)) as reference:
        model.set_weights([reference[f"after{i}"] for i in range(len(model.get_weights()))])
    with np.load(folder / "data.npz") as data:
        images = data["images"][: setting.images]
    network = Network(model)
    # A network with a cell map is trained only for the method `cells`.
    wanted = [name for name in ("cells",) if job.extra == "cells"] or ["all"]
    return [
        attempt(
            "heatmaps",
            f"{one.name}, {job.ways}, {setting.called}",
            lambda subject, one=one: _explained_by(one, network, images, subject, job, setting),
        )
        for one in explainers_named(load_plugins(), wanted)
    ]


def _explained_by(
    method: CheckedExplainer,
    network: Network,
    images: NDArray[np.uint8],
    subject: str,
    job: Job,
    setting: Setting,
) -> Outcome:
    started = time.perf_counter()
    try:
        # The bare function: what is compared is what it computes on this device.
        maps = evidence(resolve(method.record.explain), {0: network}, images, toward=1, seed=_SEED)
    except NotApplicable as error:
        return Outcome("heatmaps", subject, "not applicable", reason=error.reason)
    seconds = (time.perf_counter() - started) / len(images)
    kept = Path(setting.folder) / f"{job.network}-{job.extra}-{method.name}.npy".replace(":", "-")
    if setting.is_reference:
        np.save(kept, maps)
    elif not kept.is_file():
        raise NotApplicable("there are no heatmaps of the CPU to compare with", "See their line")
    expected = None if setting.is_reference else np.load(kept)
    return compare_maps(np.asarray(maps), expected, subject, seconds)


def compare_maps(
    maps: NDArray[np.float32], expected: NDArray[np.float32] | None, subject: str, seconds: float
) -> Outcome:
    """Return the outcome of a comparison of heatmaps with those of the CPU.

    Parameters
    ----------
    maps : ndarray of shape (N, h, w), float32
        Heatmaps of the device.
    expected : ndarray of shape (N, h, w), float32, or None
        Heatmaps of the CPU; None if `maps` are these.
    subject : str
        Method, network and device.
    seconds : float
        Seconds per image.
    """
    numbers = {"seconds": seconds, "limit": _TOLERANCE}
    measured = f"{seconds:.2f} s per image"
    reason = "" if np.isfinite(maps).all() else "the heatmaps hold NaN or infinity"
    if expected is not None and not reason:
        size = float(np.linalg.norm(expected))
        alike = maps.shape == expected.shape
        difference = float(np.linalg.norm(maps - expected)) if alike else np.inf
        off = numbers["difference"] = difference / size if size else difference
        measured += f"; relative difference from the CPU {off:.1e} (limit {_TOLERANCE:g})"
        if off > _TOLERANCE:
            reason = "the heatmaps differ from those of the CPU"
    status: Status = "failed" if reason else "passed"
    note = "" if maps.any() else "they are empty"
    return Outcome("heatmaps", subject, status, measured, reason or note, numbers)
