"""The errors a user can cause, each one line that says what is wrong and how to mend it."""

from __future__ import annotations

import re

# The plugins' errors have the same base, and the contracts with plugins don't know the core.
from mura_plugins import MuraError as MuraError


class DataError(MuraError):
    """The data, or a file that was read or written, isn't as it must be."""


class UsageError(MuraError):
    """What was asked for doesn't exist or can't be done."""

    exit_status = 2


class RadiographError(DataError):
    """One file isn't a radiograph that can be read.

    Parameters
    ----------
    path : str
        The file, as the user knows it.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class PngError(ValueError):
    """A PNG file isn't whole.

    Parameters
    ----------
    offset : int
        The byte at which it was noticed.
    reason : str
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason


# Keras and TensorFlow say first where an error was noticed.
_SAYS_WHERE = ("Exception encountered", "Graph execution error", "Detected at node", "File ", "<")


def first_reason(error: Exception) -> str:
    """Return the first line of another library's message that says what is wrong."""
    plain = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in plain.splitlines()]
    said = [line for line in lines if line and not line.startswith(_SAYS_WHERE)]
    return said[0].split(" Received: ")[0] if said else "no reason given"
