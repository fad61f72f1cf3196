"""How much this process may do at once."""

import os


def usable_cores() -> int:
    """Return the number of cores that this process may use, which a cluster may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
