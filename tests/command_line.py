"""The command line, called as a user would type it."""

import sys

from click.testing import CliRunner, Result

from mura_core.cli import main

SMALL = ("--size", "32", "--epochs", "2", "--seed", "5")


def mura_run(*arguments: object) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback is never an answer
    return result


def refused(status: int, message: str, *arguments: object) -> None:
    """Check that a command fails with an exit status and one line that contains a message."""
    result = mura_run(*arguments)
    assert result.exit_code == status, result.output
    errors = result.stderr.strip().splitlines()
    assert message in errors[-1], result.output
    assert errors[-1].startswith("Error: ")


def own_process(*arguments: object) -> list[str]:
    """Return the command that runs in a process of its own."""
    return [sys.executable, "-m", "mura_core.cli", *map(str, arguments)]
