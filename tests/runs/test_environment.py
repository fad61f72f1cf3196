"""A run is resumed with the versions that it was trained with."""

import json
from pathlib import Path

import pytest

from mura_core.errors import DataError
from mura_core.runs import refuse_other_pixels, refuse_other_versions, write_environment

PLUGINS = {"mura-their-net": "1.2"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_environment(tmp_path, "digest", PLUGINS)
    return tmp_path


def change(run: Path, **changed: object) -> None:
    path = run / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_the_same_versions_pass(run: Path):
    refuse_other_versions(run, PLUGINS)
    refuse_other_pixels(run, "digest")


@pytest.mark.parametrize("name", ["mura-run", "tensorflow", "keras", "numpy"])
def test_another_version_of_a_package_is_named(run: Path, name: str):
    packages = json.loads((run / "environment.json").read_text())["packages"]
    change(run, packages=packages | {name: "0.0.1"})
    with pytest.raises(DataError, match=rf"was trained with {name} 0\.0\.1, now it is \d"):
        refuse_other_versions(run, PLUGINS)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"mura-their-net": "1.3"}, r"mura-their-net 1\.2, now it is 1\.3; install that version"),
        ({}, r"mura-their-net 1\.2, now it is not installed"),
        (PLUGINS | {"mura-raw": "2"}, r"mura-raw not installed, now it is 2"),
    ],
)
def test_another_plugin_is_named(run: Path, now: dict, message: str):
    with pytest.raises(DataError, match=message):
        refuse_other_versions(run, now)


def test_other_packages_may_be_updated(run: Path):
    packages = json.loads((run / "environment.json").read_text())["packages"]
    change(run, packages=packages | {"pandas": "0.0.1", "pillow": "0.0.1"})
    refuse_other_versions(run, PLUGINS)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"packages": 1, "plugins": []}'])
def test_runs_without_versions_pass(run: Path, content: str):
    (run / "environment.json").write_text(content)
    refuse_other_versions(run, PLUGINS)
    refuse_other_pixels(run, "digest")


def test_nothing_names_the_machine_or_its_user(run: Path):
    import getpass
    import platform

    text = (run / "environment.json").read_text()
    for name in (platform.node(), platform.release(), str(Path.home()) + "/", getpass.getuser()):
        assert not name or f'"{name}' not in text
        assert len(name) < 5 or name not in text
