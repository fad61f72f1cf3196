"""The documents say what the code does."""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mura_plugins import hookspecs

ROOT = Path(__file__).parent.parent


def hooks() -> list[str]:
    return [
        f"{name}({', '.join(inspect.signature(function).parameters)})"
        for name, function in vars(hookspecs).items()
        if name.startswith("mura_")
    ]


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_documented_with_its_arguments(hook):
    assert f"`{hook}`" in (ROOT / "docs" / "plugins.md").read_text()


def test_links_between_documents_lead_somewhere():
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readmes_commands_exist():
    from mura_core.cli import main

    readme = (ROOT / "README.md").read_text()
    for name in main.commands:
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", readme), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", readme, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_page_of_settings_is_current():
    from mura_core.cli.settings_page import settings_page

    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == settings_page(), "run `make settings`"


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """The plugin guide's examples, to be imported."""
    text = (ROOT / "docs" / "plugins.md").read_text()
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    for name, source in blocks:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for name, _ in blocks:  # another test's
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_the_plugin_guide_keeps_the_contract(guide):
    from mura_their_net import mura_architectures

    from mura_plugins import Architecture
    from mura_plugins.testing import check_architecture

    (record,) = mura_architectures()
    assert isinstance(record, Architecture)
    check_architecture(record, sizes=(16, 24))


def test_the_guides_reader_keeps_the_contract(guide, tmp_path):
    from mura_raw12 import mura_readers

    from mura_plugins.testing import check_reader

    (record,) = mura_readers()
    file = tmp_path / "ramp.raw12"
    file.write_bytes(np.arange(4096, dtype=np.uint16).tobytes())
    check_reader(record, file)
