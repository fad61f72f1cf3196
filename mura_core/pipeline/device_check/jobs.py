"""Which jobs are done, and on which devices."""

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
_HALF_A_GPU = 3 * 2**30  # bytes of each of two logical GPUs; any GPU of 8 GB has them


@dataclass(frozen=True)
class Plan:
    """How much is checked.

    Parameters
    ----------
    networks : tuple of str
        As in `--model NAME`; the first is trained in more ways than the others.
    size : int
        The side of the images, in pixels.
    batch_size, updates, images : int
        As of `Setting`.
    quick : bool
        Whether only the most telling jobs are done.
    """

    networks: tuple[str, ...] = NETWORKS
    size: int = 64
    batch_size: int = 8
    updates: int = 8
    images: int = 1
    quick: bool = False


def groups_of_jobs(plan: Plan, folder: str, gpus: int) -> Iterator[tuple[Setting, list[Job]]]:
    """Yield the jobs that one process after another does, and where.

    Parameters
    ----------
    plan : Plan
    folder : str
        As of `Setting`.
    gpus : int
        That TensorFlow sees. Without one, the CPU stands in; with one, or none, several devices
        are two halves of it.
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
    # Whole runs are done on real devices: a user doesn't divide them.
    if gpus > 1:
        several = replace(one, devices="all", called=f"all {gpus} GPUs")
        yield one, ways
        yield several, [*_ways_on_several(plan, gpu=True), *runs]
    else:
        yield one, [*ways, *runs]
        yield several, list(_ways_on_several(plan, gpu=bool(gpus)))


def _references(plan: Plan) -> Iterator[Job]:
    """Yield the CPU's trainings in float32, with which all others are compared."""
    for network in plan.networks:
        yield Job("training", network)
    if not plan.quick:
        for extra in EXTRAS:
            yield Job("training", _network_of(plan, extra), extra=extra)


def _ways_on_one(plan: Plan, *, gpu: bool) -> Iterator[Job]:
    """Yield the trainings on one device, but for those that are references."""
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
    # Of the default networks the second is the smallest that can have a cell map.
    return plan.networks[extra == "cells" and len(plan.networks) > 1]


def untried(plan: Plan, gpus: int) -> list[Outcome]:
    """Return what this machine gives no way to check."""

    def line(subject: str, reason: str) -> Outcome:
        return Outcome("not tried", subject, "not applicable", reason=reason)

    lines = [
        line(
            "XLA on several devices",
            "XLA can't compile Keras' step across devices; `mura-run --jit on` refuses it",
        )
    ]
    if gpus == 0:
        lines += [
            line("one GPU", "there is none: all of the above ran on the CPU"),
            line(
                "a GPU's memory against `mura-run plan`",
                "TensorFlow doesn't say what it takes of a CPU's memory",
            ),
            line("TensorFloat-32", "only GPUs from 2020 on have it"),
        ]
    if gpus < 2:
        lines.append(
            line(
                "several GPUs",
                "two halves of one device stood in: NCCL, which GPUs exchange gradients by, wasn't"
                " tried, and the speed of several says nothing",
            )
        )
    return lines
