"""Compare the GPU memory that training takes with the estimate of `mura-run plan`."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from mura_core.pipeline.device_check.records import Outcome, Status

# Training should take this share of the estimate of `mura-run plan`. Below it, the plan would
# refuse large networks that fit; above it, training would run out of memory.
_LEAST_TAKEN, _MOST_TAKEN = 0.4, 1.15
_MORE_TAKEN = 64 * 2**20  # bytes for any network: workspaces of cuBLAS and cuDNN


class Memory:
    """Peak memory taken on any GPU, minus the memory taken before.

    Parameters
    ----------
    gpus : sequence of str
        Logical devices, such as `GPU:0`.

    Attributes
    ----------
    first : int
        Bytes during the first step, in which cuDNN tries its algorithms.
    steady : int
        Bytes after the first step.
    """

    first = steady = 0

    def __init__(self, gpus: Sequence[str]) -> None:
        self.gpus = gpus
        self._before = [self._info(gpu)["current"] for gpu in gpus]
        self._reset()

    def end_of_first_step(self) -> None:
        """Record the peak of the first step, and measure the later steps separately."""
        self.first = self._peak()
        self._reset()

    def end(self) -> None:
        """Record the peak of the later steps."""
        self.steady = self._peak()

    def _peak(self) -> int:
        taken = zip(self.gpus, self._before, strict=True)
        return max((self._info(gpu)["peak"] - before for gpu, before in taken), default=0)

    def _reset(self) -> None:
        for gpu in self.gpus:
            tf.config.experimental.reset_memory_stats(gpu)

    @staticmethod
    def _info(gpu: str) -> dict[str, int]:
        return tf.config.experimental.get_memory_info(gpu)


@contextmanager
def memory_of(gpus: Sequence[str]) -> Iterator[Memory]:
    """Measure the memory taken on GPUs until the block ends.

    Parameters
    ----------
    gpus : sequence of str
        Logical devices, such as `GPU:0`.
    """
    # Free the memory of an earlier trial now, not during the measurement.
    keras.backend.clear_session()
    gc.collect()
    memory = Memory(gpus)
    yield memory
    memory.end()


def memory_outcome(counted: int, memory: Memory, subject: str) -> Outcome:
    """Return the outcome of a comparison of the memory taken with the plan's estimate.

    Parameters
    ----------
    counted : int
        The estimate of `mura-run plan` for each device, in bytes, with its allowance.
    memory : Memory
        The memory taken. Without GPUs, the outcome is `not applicable`.
    subject : str
        The network, how it was trained, and where.
    """
    numbers = {"counted": counted, "taken": memory.steady, "taken_first_step": memory.first}
    if not memory.gpus:
        return Outcome(
            "memory",
            subject,
            "not applicable",
            f"`mura-run plan` estimates {_in_mib(counted)}",
            "TensorFlow doesn't report the memory it takes on a CPU;"
            " benchmarks/training_memory.py measures it",
            {"counted": counted},
        )
    measured = (
        f"estimated {_in_mib(counted)}, taken {_in_mib(memory.steady)}"
        f" (ratio {memory.steady / counted:.2f}; in the first step {_in_mib(memory.first)})"
    )
    if memory.steady > _MOST_TAKEN * counted + _MORE_TAKEN:
        reason = "`mura-run plan` estimates too little: training may not fit"
    elif memory.steady < _LEAST_TAKEN * counted:
        reason = "`mura-run plan` estimates too much: training needs less memory"
    else:
        reason = ""
    status: Status = "failed" if reason else "passed"
    return Outcome("memory", subject, status, measured, reason, numbers)


def _in_mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
