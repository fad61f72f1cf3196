"""The command group `mura-run`, its console output and its error handling."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mura_core.cli.ending import end, ending_in_a_line, stopped_by_signals
from mura_core.cli.options import verbosity_options
from mura_core.errors import Stopped, printable

_NOT_A_DEVICE = (
    "For research and teaching: not a medical device and no substitute for a radiologist."
)


class _WithDefaultCommand(click.Group):
    """A group that reads `mura-run --model conv4` as `mura-run run --model conv4`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "--version"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; signals end it in one line, whatever it is doing."""
        with stopped_by_signals():
            try:
                return super().main(*args, **extra)
            except Stopped as stopped:
                end("Stopped", "nothing was begun.", stopped.status)


@click.group(cls=_WithDefaultCommand, epilog=_NOT_A_DEVICE)
@click.version_option(package_name="mura-run")
def main() -> None:
    """Train, evaluate and explain classifiers of musculoskeletal radiographs.

    The default command is `run`: mura-run --model conv4 --explain gradcam trains on the embedded
    phantoms, and --data FOLDER trains on your own radiographs.
    """


def command(
    *some: Callable[[Any], Any], cls: type[click.Command] = click.Command, example: str = ""
) -> Callable[[Any], click.Command]:
    """Return a decorator that makes a command, whose errors are one line and an exit status.

    Parameters
    ----------
    *some : callable
        Decorators that add options and arguments.
    cls : type
        Class of the command.
    example : str, optional
        Command line shown below the options in the help.
    """
    # \b keeps click from wrapping the lines.
    shown = f"\b\nExample:\n  {example}\n\n" if example else ""

    def decorate(function: Any) -> click.Command:
        @functools.wraps(function)
        def guarded(*, quiet: bool, verbose: bool, **arguments: Any) -> None:
            _set_up_logging(quiet, verbose)
            _keep_libraries_in_the_cache()
            # A file that declares an absurd number of pixels is an error, not only a warning.
            warnings.filterwarnings("error", message=".*decompression bomb.*")
            ending_in_a_line(function, arguments)

        for option in reversed((*some, verbosity_options)):
            guarded = option(guarded)
        decorated = main.command(
            cls=cls, context_settings={"show_default": True}, epilog=shown + _NOT_A_DEVICE
        )
        return decorated(guarded)

    return decorate


def _keep_libraries_in_the_cache() -> None:
    """Let Matplotlib and Keras write below the cache of mura-run, not into the home folder."""
    import platformdirs

    cache = platformdirs.user_cache_path("mura-run")
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))
    if not (Path.home() / ".keras").exists():  # which may hold the user's weights
        os.environ.setdefault("KERAS_HOME", str(cache / "keras"))


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Stops printing when its reader has closed the pipe, as after `| head`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with its lines printable: a file name may hold anything."""
        return "\n".join(map(printable, super().format(record).split("\n")))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Discard further output after a broken pipe, so that the work continues."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)


class _Once(logging.Filter):
    """Lets each warning about plugins pass once: a command may load them several times."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is new."""
        line = record.getMessage()
        is_new = record.name != "mura.plugins" or line not in self._said
        self._said.add(line)
        return is_new


def _set_up_logging(quiet: bool, verbose: bool) -> None:
    log = logging.getLogger("mura")
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    # Results go to standard output, which may be piped; warnings go to standard error.
    # Names of files that aren't UTF-8 are escaped, as on standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    results, warned = _Console(sys.stdout), _Console(sys.stderr)
    results.addFilter(lambda record: record.levelno < logging.WARNING)
    warned.setLevel(logging.WARNING)
    warned.addFilter(_Once())
    log.handlers = [results, warned]
