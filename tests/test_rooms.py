"""The rooms of the core: what imports what, and how large a module is."""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "mura_core"
ROOMS = sorted(path.parent.name for path in CORE.glob("*/__init__.py"))


def imports(path: Path) -> list[tuple[str, str]]:
    """Return the modules that a file imports from, each with the name that it takes."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        (node.module or "", name.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "mura_core" and len(parts) > 1 and parts[1] in ROOMS else None


def names_of_door(package: str) -> set[str]:
    """Return the names that a package's stub lists."""
    stub = CORE.parent.joinpath(*package.split("."), "__init__.pyi")
    return {name for _, name in imports(stub)} if stub.is_file() else set()


def test_a_room_is_entered_by_its_door():
    inside = [
        f"{path.relative_to(CORE)}: from {module}"
        for path in CORE.rglob("*.py")
        for module, _ in imports(path)
        if room_of(module) not in (None, path.relative_to(CORE).parts[0]) and module.count(".") > 1
    ]
    assert inside == []


def test_no_module_imports_its_own_door():
    # A lazy door can't be asked while it is made. Submodules are no names of the door.
    own = [
        f"{path.relative_to(CORE)}: from {module} import {name}"
        for path in CORE.rglob("*.py")
        for module, name in imports(path)
        if module in ("mura_core", f"mura_core.{path.relative_to(CORE).parts[0]}")
        and name in names_of_door(module)
    ]
    assert own == []


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
