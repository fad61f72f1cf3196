"""Progress reporting: a progress bar in a terminal, periodic lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

# Called with the number of units done and the total.
Progress: TypeAlias = Callable[[int, int], None]

log = logging.getLogger("mura")

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str, unit: str) -> Iterator[Progress]:
    """Provide a callback that reports progress on standard error.

    Nothing is reported if the log level is above INFO.

    Parameters
    ----------
    label : str
        Description shown before the counts.
    unit : str
        Plural name of what is counted, such as "images".

    Yields
    ------
    callable
        Takes the number of units done and the total.
    """
    if not log.isEnabledFor(logging.INFO):
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        # Print log records above the bar, not into it.
        bar = tqdm(desc=label, unit=f" {unit}", leave=False)
        with bar, logging_redirect_tqdm([log]):

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield advance
    else:
        yield _Lines(label, unit)


class _Lines:
    """Print a line at most every ten seconds."""

    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._said = time.monotonic()
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        # The rate is measured from the first call: a resumed run starts with units already done,
        # and units may be reported in batches.
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
