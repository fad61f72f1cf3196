"""Exceptions of plugin code: told apart from the user's wish to stop, and put in one line."""

from __future__ import annotations

import signal
import textwrap

from mura_plugins.errors import MuraError, Stopped

_LONGEST = 400  # characters of a message


def is_from_user(error: BaseException) -> bool:
    """Return whether an exception stops the program, rather than being the fault of a plugin.

    Plugin code can raise anything, `SystemExit` included, so it is called with
    `except BaseException`. `mura-run` handles Ctrl-C itself, by `Stopped`; a KeyboardInterrupt can
    come from the user only in programs that leave Ctrl-C to Python, such as notebooks.

    Parameters
    ----------
    error : BaseException
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, Stopped)


def in_words(error: BaseException) -> str:
    """Return an exception in one line: its type and message, or only the message if it is ours.

    Parameters
    ----------
    error : BaseException
    """
    kind = type(error).__name__
    try:
        message = " ".join(str(error).split())
    except Exception:  # raised by the plugin's own __str__
        message = ""
    if not message:
        return kind
    said = message if isinstance(error, MuraError) else f"{kind}: {message}"
    return textwrap.shorten(said, _LONGEST, placeholder=" ...")
