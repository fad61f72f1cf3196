"""The documents say what the code does."""

import inspect
import re
import sys
from pathlib import Path

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


def test_the_plugin_guide_keeps_the_contract(tmp_path, monkeypatch):
    from mura_plugins import Architecture
    from mura_plugins.testing import check_architecture

    guide = (ROOT / "docs" / "plugins.md").read_text()
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", guide, re.DOTALL)
    for name, source in blocks:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mura_their_net", raising=False)  # another test's
    from mura_their_net import mura_architectures

    (record,) = mura_architectures()
    assert isinstance(record, Architecture)
    check_architecture(record, sizes=(16, 24))
