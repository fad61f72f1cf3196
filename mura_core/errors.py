"""User-facing errors. Each message is one line that states the problem and how to fix it."""

from __future__ import annotations

import re

# Plugin errors share this base class, and `mura_plugins` must not import the core.
from mura_plugins.errors import MuraError as MuraError
from mura_plugins.errors import Stopped as Stopped


def printable(text: str) -> str:
    r"""Return a text in one line: what can't be printed is escaped, such as \n, \x1b or \udce9.

    Parameters
    ----------
    text : str
        For example a file name, which may hold anything.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


class DataError(MuraError):
    """Invalid data, or a file that can't be read or written."""


class CheckpointError(DataError):
    """A checkpoint that is damaged, or of other images."""


class UsageError(MuraError):
    """A request for something that doesn't exist or can't be done."""

    exit_status = 2


class RadiographError(DataError):
    """An image file that can't be read.

    Parameters
    ----------
    path : str
        Path or name of the file. The message shows it printable.
    reason : str
        Why the file can't be read.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{printable(path)}: {printable(reason)}")
        self.path = path
        self.reason = reason


class ImageFileError(DataError):
    """The content of an image file can't be decoded; its name is told by `RadiographError`.

    The message says why, and follows the name of the file, such as "is truncated".
    """


class PngError(ValueError):
    """A damaged or invalid PNG file.

    Parameters
    ----------
    offset : int
        Byte offset at which the error was detected.
    reason : str
        Why the file is invalid.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason


def in_one_line(error: BaseException) -> str:
    """Return another library's error message in one line, or the name of the error if it has none.

    Parameters
    ----------
    error : BaseException
    """
    return " ".join(str(error).split()) or type(error).__name__


# Keras and TensorFlow messages start with the location of the error.
_SAYS_WHERE = ("Exception encountered", "Graph execution error", "Detected at node", "File ", "<")


def first_reason(error: BaseException) -> str:
    """Return the first line of another library's error message that states the cause.

    Parameters
    ----------
    error : BaseException
        An exception raised by Keras or TensorFlow, for example.

    Returns
    -------
    str
        The line, without terminal colours, locations and the values received.
    """
    plain = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in plain.splitlines()]
    said = [line for line in lines if line and not line.startswith(_SAYS_WHERE)]
    return said[0].split(" Received: ")[0] if said else "no reason given"
