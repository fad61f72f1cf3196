"""The help, and what it imports."""

import re
import subprocess
import sys
from dataclasses import asdict

import pytest
from command_line import mura_run

from mura_core.cli import main
from mura_core.runs import RunConfig
from mura_core.training import AMOUNTS


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom mura_core.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'numpy', 'matplotlib', 'pydantic'}\n"
        "heavy.add('mura_models')\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert "not a medical device" in " ".join(done.stdout.split())


def test_the_data_side_never_imports_tensorflow():
    code = (
        "import sys\n"
        "import mura_core.data.manifest, mura_core.data.prepared, mura_core.evaluation.metrics\n"
        "import mura_core.data.extraction\n"
        "import mura_core.phantoms, mura_core.pipeline.run, mura_plugins.manager\n"
        "mura_plugins.manager.load_plugins()\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_defaults_are_shown():
    text = " ".join(mura_run("run", "--help").output.split())
    for shown in ("default: conv4", "mostly 224", "default: 10", "default: 2019", "runs/<time>"):
        assert shown in text


def test_the_help_of_a_run_starts_with_the_options_that_everyone_needs():
    lines = mura_run("run", "--help").output.splitlines()
    headings = [line for line in lines if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings == [
        "Most used:", "Data:", "Network:", "Training:", "Loss:", "Validation:", "Heatmaps:",
        "Machine:", "Other:",
    ]  # fmt: skip
    first = lines[lines.index("Most used:") + 1 : lines.index("Data:")]
    options = re.findall(r"^  (--\S+)", "\n".join(first), re.MULTILINE)
    assert options == ["--data", "--model", "--explain", "--recipe", "--out"]
    example = lines[lines.index("  Example:") + 1]
    assert example.startswith("    mura-run --data ")
    main.commands["run"].make_context("run", example.split()[1:])  # or it raises


@pytest.mark.parametrize("command", ["run", "train"])
def test_every_setting_is_an_option_with_its_default(command: str):
    given = main.commands[command].make_context(command, []).params
    declared = asdict(RunConfig())
    assert given["size"] is None  # the architecture decides
    heatmaps = {"explain", "explain_images", "layer", "style"} if command == "train" else set()
    assert {name: given[name] for name in declared.keys() - heatmaps - {"size"}} == {
        name: declared[name] for name in declared.keys() - heatmaps - {"size"}
    }
    assert given.keys() - declared.keys() == {
        "out", "resume", "gpu_memory", "quiet", "verbose",
    }  # fmt: skip


def test_the_help_names_every_augmentation():
    shown = " ".join(mura_run("run", "--help").output.split())
    assert [kind for kind in AMOUNTS if not re.search(rf"\b{kind}\b", shown)] == []
