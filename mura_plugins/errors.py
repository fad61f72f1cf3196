"""Errors that a user can cause. `mura-run` shows each as one line, without a traceback."""

from __future__ import annotations

import signal


class MuraError(Exception):
    """Base class of errors that are shown to the user as one line.

    Attributes
    ----------
    exit_status : int
        Exit status of `mura-run`: 1 for problems with data or files, 2 for requests that can't be
        fulfilled.
    """

    exit_status = 1


class PluginError(MuraError):
    """A plugin can't be found, loaded or used with the given options.

    Functions of plugins can raise it. The message should be one line that states the problem and
    the remedy.
    """

    exit_status = 2


class NotApplicable(MuraError):
    """A method can't explain this network.

    Parameters
    ----------
    reason : str
        Why, as a clause, such as "it has no convolution".
    remedy : str
        What to do instead, as a sentence.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


class Stopped(BaseException):
    """Raised where the program is when it receives a signal, such as by Ctrl-C.

    Click and libraries handle KeyboardInterrupt in their own ways; this goes past them, and past
    the guards around plugin code.

    Parameters
    ----------
    number : int
        Number of the signal.

    Attributes
    ----------
    status : int
        Exit status of the program.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
