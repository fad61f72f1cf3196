"""Choose the jobs of the check, and the devices to do them on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from mura_core.pipeline.device_check.records import (
    EXTRAS,
    FLOAT16,
    FLOAT32,
    SIXTEEN,
    TF32,
    Job,
    Outcome,
    Setting,
)

NETWORKS = ("conv4", "resnet18", "efficientnet-lite0")
_HALF_A_GPU = 3 * 2**30  # bytes of each of two logical GPUs, which any GPU of 8 GB has


@dataclass(frozen=True)
class Plan:
    """What to check.

    Parameters
    ----------
    networks : tuple of str
        Architectures to train. The first is trained in more ways than the others.
    size : int
        Side of the images, in pixels.
    batch_size : int
        Images in the training batch.
    updates : int
        Weight updates whose losses are compared.
    images : int
        Images to explain.
    quick : bool
        Whether to do only the most informative jobs.
    """

    networks: tuple[str, ...] = NETWORKS
    size: int = 64
    batch_size: int = 8
    updates: int = 8
    images: int = 1
    quick: bool = False


def groups_of_jobs(plan: Plan, folder: str, gpus: int) -> Iterator[tuple[Setting, list[Job]]]:
    """Yield the setting and the jobs of each process, in order.

    Parameters
    ----------
    plan : Plan
        What to check.
    folder : str
        Folder of the phantoms and the CPU's results.
    gpus : int
        Number of GPUs that TensorFlow sees. With none or one, training on several devices is
        checked on two logical halves of the CPU or of the GPU.
    """
    cpu = Setting(
        folder,
        "cpu",
        "CPU",
        batch_size=plan.batch_size,
        updates=plan.updates,
        images=plan.images,
    )
    one, several = (
        cpu,
        replace(cpu, devices="cpu:0,cpu:1", called="two halves of the CPU", divide="cpu"),
    )
    references = [*_references(plan), *_explanations(plan)]
    runs = [Job("run", plan.networks[0])]
    if gpus:
        yield cpu, references
        one = replace(cpu, devices="gpu:0", called="gpu:0")
        runs.append(Job("run", plan.networks[0], SIXTEEN))
        ways = [Job("memory limit"), *_ways_on_one(plan, gpu=True), *_explanations(plan)]
        several = replace(
            one,
            devices="gpu:0,gpu:1",
            called="two halves of gpu:0",
            divide="gpu",
            divided_bytes=_HALF_A_GPU,
        )
    else:
        ways = [*references, *_ways_on_one(plan, gpu=False)]
    # Whole runs are done on physical devices, because users don't divide theirs.
    if gpus > 1:
        several = replace(one, devices="all", called=f"all {gpus} GPUs")
        yield one, ways
        yield several, [*_ways_on_several(plan, gpu=True), *runs]
    else:
        yield one, [*ways, *runs]
        yield several, list(_ways_on_several(plan, gpu=bool(gpus)))


def _references(plan: Plan) -> Iterator[Job]:
    """Yield the float32 trainings on the CPU, with which all others are compared."""
    for network in plan.networks:
        yield Job("training", network)
    if not plan.quick:
        for extra in EXTRAS:
            yield Job("training", _network_of(plan, extra), extra=extra)


def _ways_on_one(plan: Plan, *, gpu: bool) -> Iterator[Job]:
    """Yield the trainings on one device, except the references."""
    for network, precision, xla in product(plan.networks, (FLOAT32, SIXTEEN), (False, True)):
        if gpu or precision != FLOAT32 or xla:
            yield Job("training", network, precision, xla)
    if gpu:
        for network in plan.networks:
            yield Job("training", network, TF32)
    else:
        yield Job("training", plan.networks[0], FLOAT16)
    if gpu and not plan.quick:
        for extra in EXTRAS:
            yield Job("training", _network_of(plan, extra), extra=extra)


def _ways_on_several(plan: Plan, *, gpu: bool) -> Iterator[Job]:
    """Yield the trainings on several devices at once."""
    for network in plan.networks:
        yield Job("training", network)
        if gpu:
            yield Job("training", network, SIXTEEN)
    if not plan.quick:
        for extra in EXTRAS:
            yield Job("training", _network_of(plan, extra), extra=extra)
    if not gpu:
        yield Job("training", plan.networks[0], FLOAT16)


def _explanations(plan: Plan) -> Iterator[Job]:
    for network in plan.networks:
        yield Job("explaining", network)
    if not plan.quick:
        yield Job("explaining", _network_of(plan, "cells"), extra="cells")


def _network_of(plan: Plan, extra: str) -> str:
    # The second of the default networks is the smallest that supports a cell map.
    return plan.networks[extra == "cells" and len(plan.networks) > 1]


def untried(plan: Plan, gpus: int) -> list[Outcome]:
    """Return an outcome for each check that isn't possible on this machine.

    Parameters
    ----------
    plan : Plan
        What to check.
    gpus : int
        Number of GPUs that TensorFlow sees.
    """

    def line(subject: str, reason: str) -> Outcome:
        return Outcome("not tried", subject, "not applicable", reason=reason)

    lines = [
        line(
            "XLA on several devices",
            "XLA can't compile Keras' training step across devices; `mura-run --jit on` refuses it",
        )
    ]
    if gpus == 0:
        lines += [
            line("one GPU", "there is none; all checks ran on the CPU"),
            line(
                "GPU memory compared with `mura-run plan`",
                "TensorFlow doesn't report the memory it takes on a CPU",
            ),
            line("TensorFloat-32", "only GPUs since 2020 support it"),
        ]
    if gpus < 2:
        lines.append(
            line(
                "several GPUs",
                "two halves of one device were used instead; NCCL, which exchanges gradients"
                " between GPUs, wasn't checked, and the speeds don't apply to several GPUs",
            )
        )
    return lines
