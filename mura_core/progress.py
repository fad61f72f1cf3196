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
        self._started = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        # What was there before this run began says nothing about the rate.
        self._first = done - 1 if self._first is None else self._first
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = (done - self._first) / (now - self._started)
        left = (total - done) / rate
        so_far = f"{self._label}: {done} of {total} {self._unit}"
        print(f"{so_far}, {rate:.0f} a second, {left:.0f} s left", file=sys.stderr, flush=True)
