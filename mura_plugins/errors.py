"""The errors that a user can cause. mura-run shows each as one line, without a traceback."""

from __future__ import annotations


class MuraError(Exception):
    """A failure to be shown to the user as one line.

    Attributes
    ----------
    exit_status : int
        That `mura-run` ends with: 1 where data or files are wrong, 2 where what was asked for
        doesn't exist or can't be done.
    """

    exit_status = 1


class PluginError(MuraError):
    """A plugin, a name that should be a plugin's, or its options can't be used as asked.

    A plugin's function raises it with a message of one line, which names what is wrong and the
    remedy.
    """

    exit_status = 2


class NotApplicable(MuraError):
    """A method can't explain this network.

    Parameters
    ----------
    reason : str
        Why, as a clause: "it has no convolution".
    remedy : str
        What to do instead, as a sentence.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy
