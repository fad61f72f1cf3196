"""Number of available CPU cores."""

import os


def usable_cores() -> int:
    """Return the number of CPU cores available to this process.

    A cluster scheduler may limit a process to fewer cores than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
