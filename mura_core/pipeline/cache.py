"""Show, clear and check the cache."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mura_core.data import CacheEntry, cache_entries
from mura_core.errors import DataError, printable
from mura_core.pipeline.data import cache_folder


def listed(days: int) -> Iterator[str]:
    """Yield a line for each entry of the cache, and one for all.

    Parameters
    ----------
    days : int
        What nothing has used for so many days is marked.
    """
    entries = cache_entries(cache_folder())
    for entry in entries:
        mark = "  (prune removes it)" if entry.is_unused(days) else ""
        yield _line(entry, entry.about()) + mark
    yield f"{_count(entries)}, {_megabytes(entries)}: {cache_folder()}"


def pruned(days: int) -> Iterator[str]:
    """Remove what is half-made, and what nothing has used for some days; yield a line for each.

    Parameters
    ----------
    days : int
        The number of days.
    """
    removed = []
    for entry in cache_entries(cache_folder()):
        if not entry.is_unused(days):
            continue
        about = entry.about()
        if entry.remove():
            removed.append(entry)
            yield f"removed  {_line(entry, about)}"
        else:
            yield f"in use   {_line(entry, about)}"
    yield f"{_count(removed)} removed, {_megabytes(removed)}: {cache_folder()}"


def verified() -> Iterator[str]:
    """Check the checksums of all finished entries; yield a line for each.

    Raises
    ------
    DataError
        An entry is damaged.
    """
    entries = [entry for entry in cache_entries(cache_folder()) if not entry.is_half_made]
    damaged = 0
    for entry in entries:
        if damage := entry.damage():
            damaged += 1
        yield f"{'damaged' if damage else 'intact':9}{_line(entry, damage or entry.about())}"
    if damaged:
        raise DataError(
            f"{damaged} of {len(entries)} entries of the cache are damaged. The next run that uses"
            " them makes them again."
        )


def _line(entry: CacheEntry, about: str) -> str:
    used = datetime.fromtimestamp(entry.last_used).astimezone().date().isoformat()
    name = entry.path.relative_to(cache_folder())
    line = f"{entry.kind:11}{_megabytes([entry]):>11}  last used {used}  {name}  {about}"
    return printable(line.rstrip())


def _count(entries: list[CacheEntry]) -> str:
    return "1 entry" if len(entries) == 1 else f"{len(entries)} entries"


def _megabytes(entries: list[CacheEntry]) -> str:
    return f"{sum(entry.size for entry in entries) / 1e6:.1f} MB"
