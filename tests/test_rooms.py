"""The rooms of the core: what imports what, and how large a module is."""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "mura_core"
ROOMS = sorted(path.parent.name for path in CORE.glob("*/__init__.py"))


def imports(path: Path) -> list[str]:
    """Return the modules that a file imports from."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


def test_a_room_is_entered_by_its_door():
    climbed = [
        f"{path.relative_to(CORE)} imports from {module}"
        for path in CORE.rglob("*.py")
        for module in imports(path)
        if module.startswith("mura_core.")
        and (parts := module.split("."))[1] in ROOMS
        and len(parts) > 2
        and parts[1] != path.relative_to(CORE).parts[0]
    ]
    assert climbed == []


def test_no_room_uses_its_own_door():
    used = [
        f"{path.relative_to(CORE)} imports from {module}"
        for path in CORE.rglob("*.py")
        if path.relative_to(CORE).parts[0] in ROOMS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (module := node.module or "") == f"mura_core.{path.relative_to(CORE).parts[0]}"
        # An extension module is no name of the door.
        and not all(name.name.startswith("_") for name in node.names)
        # The façade of the whole package is no one's to use from below.
        or isinstance(node, ast.ImportFrom)
        and node.module == "mura_core"
    ]
    assert used == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_door_is_there(room):
    import importlib

    door = importlib.import_module(f"mura_core.{room}")
    assert door.__doc__ is not None
    for name in door.__all__:
        assert getattr(door, name) is not None


def test_no_module_is_long():
    packages = [CORE, CORE.parent / "mura_models", CORE.parent / "mura_plugins"]
    lengths = {
        str(path.relative_to(CORE.parent)): len(path.read_text().splitlines())
        for package in packages
        for path in package.rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 350} == {}
