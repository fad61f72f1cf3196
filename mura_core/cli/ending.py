"""How a command ends: one line and an exit status for every signal, error and fault."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from mura_core.errors import MuraError, Stopped, printable
from mura_plugins.guard import in_words

FAULT_STATUS = 70  # EX_SOFTWARE of sysexits.h
FAULT_FILE = "fault.txt"


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` in the block on Ctrl-C and on a request to terminate."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return

    def stop(number: int, _: object) -> None:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_in_a_line(function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
    """Call the function of a command, and end the program in one line if it fails.

    Parameters
    ----------
    function : callable
        The command.
    arguments : mapping
        Its arguments.
    """
    try:
        function(**arguments)
    except Stopped as stopped:
        from mura_core.pipeline import what_is_safe

        end("Stopped", what_is_safe(arguments.get("out")), stopped.status)
    except MuraError as error:
        end("Error", str(error), error.exit_status)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        end("Error", f"{where}{error.strerror or error}", 1)
    except MemoryError:
        end("Error", "there is not enough memory", 1)
    except click.ClickException:
        raise
    except Exception as error:
        end("Error", _fault(error, arguments), FAULT_STATUS)


def end(kind: str, message: str, status: int) -> NoReturn:
    """Print a line on standard error and exit.

    Parameters
    ----------
    kind : {"Error", "Stopped"}
        Start of the line.
    message : str
        Control characters are escaped.
    status : int
        Exit status.
    """
    click.echo(f"{kind}: {printable(message)}", err=True)
    sys.exit(status)


def _fault(error: Exception, arguments: Mapping[str, Any]) -> str:
    """Write the traceback to a file, and return a message that names the file."""
    folders = [arguments.get(name) for name in ("folder", "out")]
    folder = next((one for one in folders if isinstance(one, Path) and one.is_dir()), None)
    path = folder / FAULT_FILE if folder else _temporary_file()
    try:
        text = "".join(traceback.format_exception(error))
        path.write_text(text.replace(str(Path.home()), "~"), encoding="utf-8")
        where = f"The details are in {path}: please report them"
    except OSError as no_file:
        where = f"The details couldn't be written to {path} ({no_file.strerror})"
    return (
        "this is a fault of mura-run or of a plugin, not of your data"
        f" ({in_words(error)}). {where}."
    )


def _temporary_file() -> Path:
    return Path(tempfile.gettempdir()) / f"mura-run-fault-{os.getpid()}.txt"
