"""Broken plugins: each is survived, and named in one line with its distribution."""

import json
import subprocess
import sys

import pytest
from command_line import mura_run

from mura_plugins import first_import
from mura_plugins.errors import Stopped
from mura_plugins.manager import load_plugins

START = "import os, sys, time\nimport mura_plugins as m\n"
HOOK = "@m.hookimpl\n"
NET = 'm.Architecture("theirs", "mura_models.conv:conv4", "S.", "R.")'
MAP = 'm.Explainer("their-map", "numpy:zeros", "S.", "R.")'


def networks(*records: str) -> str:
    return f"{HOOK}def mura_architectures(): return [{', '.join(records)}]\n"


def explainers(record: str) -> str:
    return f"{HOOK}def mura_explainers(): return [{record}]\n"


def readers(record: str) -> str:
    return f"{HOOK}def mura_readers(): return [{record}]\n"


AT_IMPORT = {
    "fails": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "is no Python": ("def", "SyntaxError"),
    "exits": ("sys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "importing it raises KeyboardInterrupt"),
    "raises a base": ("class B(BaseException): pass\nraise B('odd')", "B: odd"),
    "several lines": ("raise ValueError('one\\n\\n  two')", "ValueError: one two"),
    "no message": ("raise ValueError", "ValueError. Update"),
    "its own str": (
        "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E()",
        "used: E.",
    ),
    "ends the process": ("os._exit(0)", "importing it ends the program (exit status 0)"),
    "ends by a signal": ("os.kill(os.getpid(), 9)", "importing it ends the program (SIGKILL)"),
    "never ends": ("while True: pass", "importing it takes longer than 3 seconds"),
    "takes long": ("time.sleep(30)", "importing it takes longer than 3 seconds"),
}

HOOKS = {
    "misspelt": (
        HOOK + "def mura_architecture(): return []",
        "unknown hook mura_architecture; did you mean mura_architectures?",
    ),
    "unmarked": ("def mura_readers(): return []", "mura_readers must be marked with @mura_plugins"),
    "none": ("", "it has no hook; known are mura_architectures, "),
    "other arguments": (
        HOOK + "def mura_run_finished(run, colour): pass",
        "{'colour'} are declared in the hookimpl but can not be found",
    ),
    "raises midway": (
        HOOK + f"def mura_architectures():\n    yield {NET}\n    raise OSError('gone')",
        "mura_architectures failed (OSError: gone)",
    ),
    "exits": (HOOK + "def mura_layouts(): sys.exit()", "mura_layouts failed (SystemExit)"),
    "no return": (HOOK + "def mura_layouts(): []", "mura_layouts returned None, not a list of"),
    "one record": (HOOK + f"def mura_explainers(): return {MAP}", "not a list of Explainer"),
    "a text": (HOOK + "def mura_readers(): return 'x'", "returned 'x', not a list of Reader"),
    "newer": ("requires = 2\n" + networks(NET), "needs version 2 of the contract with plugins"),
    "odd version": ("requires = '1'\n" + networks(NET), "requires is '1'; expected the contract's"),
}

RECORDS = {
    "no record": (networks("'x'"), "mura_architectures returned 'x', not a Architecture"),
    "of another kind": (explainers(NET), "not a Explainer"),
    "two of a name": (networks(NET, NET), "2 records with the name 'theirs'; rename them"),
    "type of a name": (networks('m.Architecture(3, "a:b", "", "")'), "name of the Architecture 3"),
    "size": (
        networks('m.Architecture("n", "a:b", "", "", input_size="64")'),
        "input_size of the Architecture 'n' is '64'; expected int",
    ),
    "size 0": (networks('m.Architecture("n", "a:b", "", "", 0)'), "input_size of the Architecture"),
    "signed": (
        explainers('m.Explainer("n", "a:b", "", "", signed=1)'),
        "signed of the Explainer 'n' is 1; expected bool",
    ),
    "space": (networks('m.Architecture("my net", "a:b", "", "")'), "'my net' is not a valid name"),
    "slash": (explainers('m.Explainer("../x", "a:b", "", "")'), "'../x' is not a valid name"),
    "empty": (networks('m.Architecture("", "a:b", "", "")'), "'' is not a valid name"),
    "line": (networks('m.Architecture("a\\nb", "a:b", "", "")'), r"'a\nb' is not a valid name"),
    "reserved": (explainers('m.Explainer("all", "a:b", "", "")'), "'all' is not a valid name"),
    "no function": (
        networks('m.Architecture("n", "a.b.c", "", "")'),
        "build of the Architecture 'n' is 'a.b.c'; expected 'package.module:function'",
    ),
    "family": (
        networks('m.Architecture("n:*", "a:b", "", "")'),
        "is 'a:b'; expected 'package.module:*'",
    ),
    "suffix": (
        readers('m.Reader("n", (".a"), "a:b", "")'),
        "suffixes of the Reader 'n' is '.a'; expected a tuple of str",
    ),
    "dot": (readers('m.Reader("n", ("a",), "a:b", "")'), "the suffix 'a' doesn't start with a dot"),
    "signature": (
        readers('m.Reader("n", (), "a:b", "", ((0, "DICM"),))'),
        "is ((0, 'DICM'),); expected a tuple of (int, bytes)",
    ),
    "any file": (readers('m.Reader("n", (), "a:b", "", ((0, b""),))'), "would match every file"),
    "no files": (readers('m.Reader("n", (), "a:b", "")'), "neither a suffix nor a signature"),
}

BROKEN = [
    pytest.param(START + source, line, id=name)
    for kind in (AT_IMPORT, HOOKS, RECORDS)
    for name, (source, line) in kind.items()
]


@pytest.fixture(autouse=True)
def short_limit(monkeypatch):
    monkeypatch.setattr(first_import, "LIMIT_SECONDS", 3.0)


@pytest.fixture
def good(install):
    install("mura-good", START + networks(NET))


@pytest.mark.parametrize(("source", "line"), BROKEN)
def test_a_broken_plugin_is_named_in_one_line_and_others_work(install, good, capfd, source, line):
    install("mura-broken", source)
    plugins = load_plugins()
    assert plugins.architecture("theirs")
    assert plugins.explainer("gradcam")
    [failure] = plugins.failures
    said = str(failure)
    assert said.startswith("The plugin 'mura-broken' of mura-broken failed to load and is not used")
    assert line in said
    assert said.endswith("Update or uninstall mura-broken.")
    assert "\n" not in said
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("source", ["sys.exit(0)", "os._exit(0)", "print('hello')\n1 / 0"])
@pytest.mark.parametrize("command", ["prepare", "manifest", "plugins"])
def test_every_command_names_it_once_and_works(install, mura, tmp_path, command, source):
    install("mura-broken", START + source)
    options = {"prepare": ("--data", mura, "--size", 8), "manifest": (mura,)}
    done = mura_run(command, *options.get(command, ("--json",)))
    assert done.exit_code == 0, done.output
    assert done.stderr.count("'mura-broken' of mura-broken failed to load and is not used") == 1
    assert "hello" not in done.stdout
    if command == "plugins":
        assert json.loads(done.stdout)["failures"][0]["plugin"] == "mura-broken"


def test_what_a_plugin_prints_is_named_and_it_is_used(install):
    install(
        "mura-loud", START + "print('hello')\nprint('there', file=sys.stderr)\n" + networks(NET)
    )
    done = mura_run("plugins", "--json")
    message = "The plugin 'mura-loud' of mura-loud prints while it is loaded: hello there"
    assert done.stderr.splitlines() == [message]
    names = [row["name"] for row in json.loads(done.stdout)["plugins"]]
    assert "theirs" in names


def test_a_plugin_is_tried_once_in_a_process_of_its_own_until_its_files_change(
    install, tmp_path, monkeypatch
):
    imports = tmp_path / "imports"
    count = f"open({str(imports)!r}, 'a').write('.')\n"
    install("mura-ends", START + count + "os._exit(0)")
    install("mura-good", START + count + networks(NET))
    for loads in range(3):
        monkeypatch.delitem(sys.modules, "mura_good", raising=False)
        plugins = load_plugins()
        assert [failure.plugin for failure in plugins.failures] == ["mura-ends"]
        assert len(imports.read_text()) == 3 + loads  # two by children, and one for each load
    (tmp_path / "mura_ends.py").write_text(START + networks(NET.replace("theirs", "other")))
    assert load_plugins().architecture("other")
    (tmp_path / "mura_ends.py").write_text(START + "import no_such_module")
    monkeypatch.delitem(sys.modules, "mura_ends")
    [failure] = load_plugins().failures
    assert "No module named" in failure.reason


def test_built_in_plugins_are_not_tried(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    assert not load_plugins().failures


def test_stopping_the_program_is_no_fault_of_a_plugin(install):
    # As if the user pressed Ctrl-C during the import, in this process.
    install("mura-slow", START + "if 'pytest' in sys.modules: raise m.errors.Stopped(2)")
    with pytest.raises(Stopped):
        load_plugins()
