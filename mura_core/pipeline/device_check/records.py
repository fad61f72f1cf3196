"""Records of jobs, settings and outcomes, which processes exchange as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["passed", "failed", "not applicable"]

FLOAT32, TF32, SIXTEEN, FLOAT16 = "float32", "TensorFloat-32", "16 bits", "float16"

# Largest difference of a loss from that of the CPU in float32, relative to the first loss.
TOLERANCES = {FLOAT32: 0.01, TF32: 0.05, SIXTEEN: 0.1, FLOAT16: 0.1}

# Further ways to train, each compared with the same training on the CPU.
EXTRAS = ("augmented", "accumulated", "recomputed", "cells")


@dataclass(frozen=True)
class Outcome:
    """Result of one check: a row on the page.

    Parameters
    ----------
    check : str
        Kind of the check, such as `losses`.
    subject : str
        What was checked: the network, how it was trained, and where.
    status : {"passed", "failed", "not applicable"}
        The result.
    measured : str
        The measurements as text, with units.
    reason : str
        Why the check failed or wasn't possible, or a remark on one that passed.
    numbers : mapping
        The measurements for programs, by name.
    """

    check: str
    subject: str
    status: Status
    measured: str = ""
    reason: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A piece of work for one process, with one or more outcomes.

    Parameters
    ----------
    check : {"devices", "memory limit", "training", "explaining", "run"}
        Kind of work.
    network : str
        Name of the architecture, as in `--model NAME`.
    precision : str
        `float32`; `TensorFloat-32`, the default of GPUs since 2020 for float32; `16 bits`, the
        format that `--mixed-precision` uses on the device; or `float16`, the format of GPUs, on
        whatever device.
    xla : bool
        Whether XLA compiles the training step.
    extra : str
        One of `EXTRAS`, or empty.
    """

    check: str
    network: str = ""
    precision: str = FLOAT32
    xla: bool = False
    extra: str = ""

    @property
    def ways(self) -> str:
        """Network and way of training, for people."""
        parts = [self.network, self.precision if self.check == "training" else "", self.extra]
        return ", ".join(part for part in (*parts, "XLA" if self.xla else "") if part)


@dataclass(frozen=True)
class Setting:
    """The devices of a process, and how much it does.

    Parameters
    ----------
    folder : str
        Folder with the phantoms (`data.npz`) and the results of the CPU.
    devices : str
        Devices, as in `--devices`; `cpu` hides the GPUs.
    called : str
        Name of the devices, for people.
    divide : {"", "cpu", "gpu"}
        Kind of device whose first one is divided into two logical devices; empty for none.
    divided_bytes : int
        Memory of each of two logical GPUs, in bytes.
    batch_size : int
        Images in the training batch.
    updates : int
        Weight updates whose losses are compared.
    seconds : float
        Duration of each of the three speed measurements.
    images : int
        Images to explain.
    """

    folder: str
    devices: str
    called: str
    divide: str = ""
    divided_bytes: int = 0
    batch_size: int = 8
    updates: int = 8
    seconds: float = 0.5
    images: int = 1

    @property
    def is_reference(self) -> bool:
        """Whether the float32 training in this setting is the reference for the others."""
        return self.devices == "cpu" and not self.divide
