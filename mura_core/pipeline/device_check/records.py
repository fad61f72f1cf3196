"""What is checked, and what was found: plain records that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["passed", "failed", "not applicable"]

FLOAT32, TF32, SIXTEEN, FLOAT16 = "float32", "TensorFloat-32", "16 bits", "float16"

# The most that a loss of the first updates may differ from the CPU's in float32, as a share of the
# first loss.
TOLERANCES = {FLOAT32: 0.01, TF32: 0.05, SIXTEEN: 0.1, FLOAT16: 0.1}

# Further ways to train, each compared with the CPU's training in the same way.
EXTRAS = ("augmented", "accumulated", "recomputed", "cells")


@dataclass(frozen=True)
class Outcome:
    """What one check found: a line of the page.

    Parameters
    ----------
    check : str
        Its kind, such as `losses`.
    subject : str
        What was checked: the network, how it was trained, and where.
    status : {"passed", "failed", "not applicable"}
    measured : str
        What was measured, with units.
    reason : str
        Why it failed or couldn't be tried; or what to know of one that passed.
    numbers : mapping
        What was measured, for programs.
    """

    check: str
    subject: str
    status: Status
    measured: str = ""
    reason: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A piece of work for one process, which gives one or more outcomes.

    Parameters
    ----------
    check : {"devices", "memory limit", "training", "explaining", "run"}
    network : str
        As in `--model NAME`.
    precision : str
        `float32`; `TensorFloat-32`, which GPUs from 2020 on compute float32 in by default; `16
        bits`, those of `--mixed-precision`; or `float16`, those of a GPU wherever it is trained.
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
        """How it is trained, to read."""
        parts = [self.network, self.precision if self.check == "training" else "", self.extra]
        return ", ".join(part for part in (*parts, "XLA" if self.xla else "") if part)


@dataclass(frozen=True)
class Setting:
    """Where a process works, and on how much.

    Parameters
    ----------
    folder : str
        Holds `data.npz`, the phantoms, and what the CPU's training left for comparison.
    devices : str
        As in `--devices`; `cpu` hides the GPUs.
    called : str
        The devices, to read.
    divide : {"", "cpu", "gpu"}
        Make two logical devices of the first of this kind.
    divided_bytes : int
        Memory of each of two logical GPUs.
    batch_size : int
        Images of the one batch that is trained on.
    updates : int
        Of the weights, whose losses are compared.
    seconds : float
        For which a speed is measured, three times.
    images : int
        To explain.
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
        """Whether the float32 training here is what others are compared with."""
        return self.devices == "cpu" and not self.divide
