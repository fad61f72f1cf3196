"""The memory that a training took of GPUs, against what `mura-run plan` counts."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from mura_core.pipeline.device_check.records import Outcome, Status

# Of what `mura-run plan` counts, what training should take. Below, large networks would be said not
# to fit that do; above, training would run out of memory.
_LEAST_TAKEN, _MOST_TAKEN = 0.4, 1.15
_MORE_TAKEN = 64 * 2**20  # whatever the network: workspaces of cuBLAS and cuDNN


class Memory:
    """The most memory that was taken of any GPU, beyond what was taken before.

    Attributes
    ----------
    first : int
        Bytes, until the end of the first step, in which cuDNN tries its algorithms.
    steady : int
        Bytes, after it.
    """

    first = steady = 0

    def __init__(self, gpus: Sequence[str]) -> None:
        self.gpus = gpus
        self._before = [self._info(gpu)["current"] for gpu in gpus]
        self._reset()

    def end_of_first_step(self) -> None:
        """Measure the later steps apart from the first."""
        self.first = self._peak()
        self._reset()

    def end(self) -> None:
        """Measure no further."""
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
    """Measure what is taken of GPUs, such as `GPU:0`, until the block ends."""
    # What an earlier trial left must not be freed meanwhile.
    keras.backend.clear_session()
    gc.collect()
    memory = Memory(gpus)
    yield memory
    memory.end()


def memory_outcome(counted: int, memory: Memory, subject: str) -> Outcome:
    """Return whether a training took what `mura-run plan` counts.

    Parameters
    ----------
    counted : int
        Bytes for each device, with the plan's allowance.
    memory : Memory
        What was taken; without GPUs the outcome is that it isn't applicable.
    subject : str
        What was trained, how and where.
    """
    numbers = {"counted": counted, "taken": memory.steady, "taken_first_step": memory.first}
    if not memory.gpus:
        return Outcome(
            "memory",
            subject,
            "not applicable",
            f"`mura-run plan` counts {_in_mib(counted)}",
            "TensorFlow doesn't say what it takes of a CPU's memory;"
            " benchmarks/training_memory.py measures that",
            {"counted": counted},
        )
    measured = (
        f"counted {_in_mib(counted)}, taken {_in_mib(memory.steady)}"
        f" ({memory.steady / counted:.2f} of it; in the first step {_in_mib(memory.first)})"
    )
    if memory.steady > _MOST_TAKEN * counted + _MORE_TAKEN:
        reason = "`mura-run plan` counts too little: training may not fit"
    elif memory.steady < _LEAST_TAKEN * counted:
        reason = "`mura-run plan` counts too much: less memory would do"
    else:
        reason = ""
    status: Status = "failed" if reason else "passed"
    return Outcome("memory", subject, status, measured, reason, numbers)


def _in_mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
