"""An empty path is refused: Python would take it for the working directory."""

from pathlib import Path

import click
import pytest
from command_line import mura_run, refused

from mura_core.cli import main
from mura_core.cli.options import PathType

PATHS = [
    (command, parameter)
    for command in main.commands.values()
    for parameter in command.params
    if isinstance(parameter.type, click.Path)
]


@pytest.mark.parametrize(
    ("command", "parameter"), PATHS, ids=[f"{c.name} {p.name}" for c, p in PATHS]
)
def test_an_empty_path_is_refused(command: click.Command, parameter: click.Parameter):
    assert isinstance(parameter.type, PathType)
    option = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
    result = mura_run(command.name, *option, *[""] * max(parameter.nargs, 1))
    assert result.exit_code == 2
    assert "is empty" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["run", "train", "prepare"])
def test_empty_data_is_refused(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    refused(2, "--data is empty", command, "--data", "")
    assert not list(tmp_path.iterdir())
