"""The losses of a training, and how they compare with those of the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from mura_core.pipeline.device_check.gpu_memory import Memory
from mura_core.pipeline.device_check.records import Outcome, Status


def compare_losses(
    seen: Sequence[tuple[int, float]],
    expected: Sequence[float] | None,
    tolerance: float,
    subject: str,
    *,
    falls: bool = True,
) -> Outcome:
    """Return an outcome that passes if losses are finite, fall, and agree with those of the CPU.

    Parameters
    ----------
    seen : sequence of (int, float)
        For each step, the number of updates before it and its loss. Steps whose float16 gradients
        overflowed were skipped, so that there may be fewer updates than steps.
    expected : sequence of float, or None
        Losses of the CPU in float32, by the number of updates before; None if `seen` are these.
    tolerance : float
        Largest difference, relative to the first expected loss.
    subject : str
        The network, how it was trained, and where.
    falls : bool
        Whether the last loss should be below the first.
    """
    losses = [loss for _, loss in seen]
    numbers: dict[str, Any] = {"losses": losses, "expected": expected, "limit": tolerance}
    measured = f"loss {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} steps"
    reasons = [
        f"the loss of step {step} is {loss}"
        for step, loss in enumerate(losses, start=1)
        if not np.isfinite(loss)
    ]
    if expected is not None and not reasons:
        off = [abs(loss - expected[before]) / expected[0] for before, loss in seen]
        worst = int(np.argmax(off))
        numbers["difference"] = off[worst]
        measured += (
            f"; largest relative difference from the CPU in float32 {off[worst]:.1e}"
            f" (limit {tolerance:g})"
        )
        if not off[worst] <= tolerance:
            before, loss = seen[worst]
            reasons.append(
                f"at step {worst + 1} the loss is {loss:.5f}; the CPU's is {expected[before]:.5f}"
            )
    skipped = len(seen) - 1 - seen[-1][0]
    if skipped == len(seen) - 1:
        reasons.append("every step was skipped, because its gradients overflowed")
    elif falls and losses[-1] >= losses[0]:
        reasons.append("it doesn't learn: the loss didn't fall")
    status: Status = "failed" if reasons else "passed"
    note = f"steps skipped because their gradients overflowed: {skipped}" if skipped else ""
    return Outcome("losses", subject, status, measured, (reasons or [note])[0], numbers)


class Losses(keras.callbacks.Callback):
    """Records the loss of each update; an epoch is one update.

    Parameters
    ----------
    memory : Memory
        Is told of the end of the first step.
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.seen: list[tuple[int, float]] = []
        self._memory = memory

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Remember how many updates came before."""
        self._before = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record the loss."""
        self.seen.append((self._before, float((logs or {})["loss"])))
        if epoch == 0:
            self._memory.end_of_first_step()
