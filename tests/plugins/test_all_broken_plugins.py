"""A whole run with many broken plugins at once: each is survived and named in one line."""

import pytest
from command_line import mura_run

from mura_plugins import first_import

NET = "mura.Architecture('{name}', '{module}:build', '', '')"
MAP = "mura.Explainer('{name}', '{module}:explain', '', '')"
HOOK = "@mura.hookimpl\ndef mura_{kind}s(): return [{records}]\n"

EXPLAIN = """
def explain(network, images, *, toward, seed):
    maps = abs(network.pixel_gradients(images))
    {fault}
    return maps
"""


def hook(kind: str, *records: str) -> str:
    return HOOK.format(kind=kind, records=", ".join(records))


# What a plugin does, and what is said of it.
BROKEN = {
    "fails": ("import no_such_module", "No module named 'no_such_module'"),
    "exits": ("import sys\nsys.exit(4)", "SystemExit: 4"),
    "interrupts": ("raise KeyboardInterrupt", "importing it raises KeyboardInterrupt"),
    "ends": ("import os\nos._exit(4)", "importing it ends the program (exit status 4)"),
    "prints": ("print('hello')\n" + hook("architecture"), "prints while it is loaded: hello"),
    "sleeps": ("import time\ntime.sleep(60)", "importing it takes longer than 3 seconds"),
    "misspells": (
        hook("architecture").replace("architectures", "architecture"),
        "unknown hook mura_architecture; did you mean mura_architectures?",
    ),
    "yields": (
        f"@mura.hookimpl\ndef mura_explainers():\n    yield {MAP}\n    raise OSError('midway')",
        "mura_explainers failed (OSError: midway)",
    ),
    "no-records": (hook("reader", "3"), "mura_readers returned 3, not a Reader"),
    "two-of-one": (hook("architecture", NET, NET), "2 records with the name 'two-of-one'"),
    "reads-png": (
        hook("reader", "mura.Reader('png', ('.png',), '{module}:read', '')"),
        "mura-run itself reads .png",
    ),
    "newer": ("requires = 2\n" + hook("architecture"), "needs version 2 of the contract"),
    "paints": (
        hook("explainer", MAP) + EXPLAIN.format(fault="images[:] = 0"),
        "it changes the images that it gets, which are copies",
    ),
    "raises": (
        hook("explainer", MAP) + EXPLAIN.format(fault="raise ValueError('in the middle')"),
        "ValueError: in the middle",
    ),
    "cannot-build": (
        hook("architecture", NET) + "def build(shape): raise ValueError('no weights\\nhere')",
        None,  # nobody asked for it
    ),
}


@pytest.fixture
def all_broken(install, monkeypatch):
    monkeypatch.setattr(first_import, "LIMIT_SECONDS", 3.0)
    for name, (source, _) in BROKEN.items():
        module = f"mura_{name}".replace("-", "_")
        named = source.replace("{name}", name).replace("{module}", module)
        install(f"mura-{name}", "import mura_plugins as mura\n" + named)


def test_a_run_survives_them_all_and_names_each_in_one_line(all_broken, mura, tmp_path):
    done = mura_run(
        "run", "--data", mura, "--model", "conv2", "--size", 32, "--epochs", 1, "--out",
        tmp_path / "run", "--explain", "paints", "--explain", "raises", "--explain", "gradcam",
        "--explain-images", 2,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for name, (_, message) in BROKEN.items():
        said = [line for line in done.stderr.splitlines() if f"of mura-{name} " in line]
        assert len(said) == (message is not None), (name, done.stderr)
        assert message is None or message in said[0]
    for name in ("paints", "gradcam"):
        assert f"Drew 2 heatmaps by {name}" in done.output
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_builder_that_raises_is_refused_in_one_line(all_broken, mura, tmp_path):
    done = mura_run("train", "--data", mura, "--model", "cannot-build", "--out", tmp_path / "run")
    assert done.exit_code == 2
    where = "mura_cannot_build:build"
    message = "the network can't be built for 224 x 224 pixels: no weights here"
    assert done.stderr.splitlines()[-1] == f"Error: {where}: {message}"
    assert not (tmp_path / "run").exists()
