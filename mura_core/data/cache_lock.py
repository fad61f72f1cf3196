"""Lock an entry of the cache, and say who holds it."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mura_core.errors import DataError, printable

log = logging.getLogger("mura")

LOCK, HOLDER = ".lock", ".holder"  # suffixes of the files next to an entry


@contextmanager
def locked(entry: Path) -> Iterator[None]:
    """Hold the lock of an entry of the cache; if another process holds it, say so and wait.

    The operating system releases the lock when its process ends, however it ends.

    Parameters
    ----------
    entry : Path
        Path of the entry without a suffix.

    Raises
    ------
    DataError
        The lock can't be made, for example because the folder is read-only.
    """
    lock = FileLock(entry.with_suffix(LOCK))
    holder = entry.with_suffix(HOLDER)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("Waiting for %s, which uses %s", _who(holder), entry)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{entry}: can't be locked ({reason}); set XDG_CACHE_HOME to another folder"
        ) from None
    try:
        # Only for people to read: without it, all works.
        with suppress(OSError):
            holder.write_text(json.dumps(_myself()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def locked_if_free(entry: Path) -> Iterator[bool]:
    """Hold the lock of an entry if no other process does, and give whether it is held.

    Parameters
    ----------
    entry : Path
        Path of the entry without a suffix.
    """
    lock = FileLock(entry.with_suffix(LOCK))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _myself() -> dict[str, str | int]:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return {"process": os.getpid(), "host": socket.gethostname(), "since": since}


def _who(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
        return printable(f"process {told['process']} on {told['host']} (since {told['since']})")
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
