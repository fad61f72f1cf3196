"""How far long work has come: a bar in a terminal, lines now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

# Called with how many units are done and how many there are.
Progress: TypeAlias = Callable[[int, int], None]

log = logging.getLogger("mura")

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str, unit: str) -> Iterator[Progress]:
    """Give a function to call with how many units are done and how many there are."""
    if not log.isEnabledFor(logging.INFO):
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        # Lines that are logged meanwhile go above the bar, not into it.
        bar = tqdm(desc=label, unit=f" {unit}", leave=False)
        with bar, logging_redirect_tqdm([log]):

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield advance
    else:
        yield _Lines(label, unit)


class _Lines:
    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._said = time.monotonic()
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        # Units may come in batches, and what a run that goes on finds done says nothing of the
        # rate: it is counted from the first call on.
        first, started = self._first = self._first or (done, now)
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        line = f"{self._label}: {done} of {total} {self._unit}"
        if done > first:
            rate = (done - first) / (now - started)
            pace = f"{rate:.0f} a second" if rate >= 1 else f"{1 / rate:.0f} s each"
            line += f", {pace}, {(total - done) / rate:.0f} s left"
        print(line, file=sys.stderr, flush=True)
