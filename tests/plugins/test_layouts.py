"""Layouts of other packages: found, asked first, checked, and named in errors."""

import json

import numpy as np
import pytest
from command_line import mura_run, refused
from data_sets import write_image

from mura_core.data import Reading, read_manifest
from mura_plugins import PluginError
from mura_plugins.manager import load_plugins

LAYOUT = """
import mura_plugins as mura

@mura.hookimpl
def mura_layouts():
    yield mura.Layout("{name}", "{module}:recognise", "{module}:read", "One file name says all.")

def recognise(data, options):
    return data.is_dir() and any(data.glob("*@*"))

def read(data, options):
    images = []
    for path in sorted(data.iterdir()):
        if path.suffix in options.suffixes:
            patient, part, label = path.stem.split("@")
            images.append(mura.LabelledImage(path.name, part, patient, "1", {label}))
    return mura.LabelledImages(data, images, notes=("Read by {name}.",))
"""


RAISING = """
def read(data, options):
    raise mura.MuraError(f"{data}: bad")
"""


def layout(name: str, label: str = "int(label in options.positive or label == 'sick')") -> str:
    return LAYOUT.format(name=name, module=name.replace("-", "_"), label=label)


@pytest.fixture
def their_data(tmp_path):
    folder = tmp_path / "their_data"
    for n in range(12):
        label = ("well", "sick", "odd")[n % 3]
        write_image(
            folder / f"{n}@{'HAND' if n % 2 else 'KNEE'}@{label}.png", np.full((4, 4), n, "u1")
        )
    return folder


def test_a_third_partys_layout_is_read(install, their_data):
    refused(1, "without CSVs the label comes from", "prepare", "--data", their_data)
    install("mura-theirs", layout("mura-theirs"))
    manifest = read_manifest(their_data)
    assert manifest.layout == "mura-theirs"
    assert manifest.table["label"].sum() == 4
    assert set(manifest.table["body_part"]) == {"HAND", "KNEE"}
    assert manifest.notes[0] == "Read by mura-theirs."
    assert set(manifest.table["split"]) == {"train", "valid"}
    odd = read_manifest(their_data, reading=Reading(positive=("odd",)))
    assert odd.table["label"].sum() == 8
    done = mura_run("prepare", "--data", their_data, "--size", 4)
    assert done.exit_code == 0, done.output
    assert "Read by mura-theirs." in done.output
    listed = json.loads(mura_run("plugins", "--json").output)["plugins"]
    assert [row["name"] for row in listed if row["kind"] == "layout"][-1] == "mura-theirs"


def test_functions_may_leave_out_the_options(install, their_data):
    source = layout("mura-theirs", "int(label == 'sick')").replace(", options):", "):")
    install("mura-theirs", source.replace("path.suffix in options.suffixes", "'@' in path.name"))
    assert read_manifest(their_data).table["label"].sum() == 4


def test_other_data_is_read_as_before(install, mura):
    before = read_manifest(mura).table
    install("mura-theirs", layout("mura-theirs"))
    after = read_manifest(mura)
    assert after.layout == "mura"
    assert after.table.equals(before)


def test_two_layouts_that_recognise_the_same_data_are_both_named(install, their_data):
    install("mura-theirs", layout("mura-theirs"))
    install("mura-others", layout("mura-others"))
    message = "recognised by the layouts mura-others of mura-others and mura-theirs of mura-theirs"
    refused(2, message, "prepare", "--data", their_data)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (layout("mura-theirs", "'sick'"), "'sick' is not a valid label"),
        (layout("mura-theirs", "1 / 0"), "failed (ZeroDivisionError: division by zero)"),
        (layout("mura-theirs").replace('patient, "1"', "'', \"1\""), "'' is not a valid patient"),
        (layout("mura-theirs") + "\ndef read(data, options): return 3", "returned int"),
        (layout("mura-theirs") + "\ndef recognise(data, options): 1 / 0", "failed (ZeroDivision"),
        (layout("mura-theirs") + "\ndel read", "can't be imported"),
        (layout("mura-theirs") + RAISING, "their_data: bad"),
    ],
)
def test_a_layout_that_breaks_its_promise_is_one_line(install, their_data, source, message):
    install("mura-theirs", source)
    status = 1 if message.endswith("bad") else 2
    refused(status, message, "prepare", "--data", their_data)


def test_a_layout_that_fails_to_load_is_named(install, their_data):
    install("mura-theirs", layout("mura-theirs") + "\nimport a_module_that_is_not_there")
    done = mura_run("manifest", their_data)
    assert "'mura-theirs' of mura-theirs failed to load" in done.stderr


def test_the_built_in_layouts_are_found_the_same_way():
    plugins = load_plugins()
    assert {offer.distribution for offer in plugins.layouts} == {"mura-run"}
    assert [offer.record.name for offer in plugins.layouts][-1] == "folders"


def test_a_layout_is_needed(monkeypatch, mura):
    plugins = load_plugins()
    plugins.layouts.clear()
    monkeypatch.setattr("mura_core.data.manifest.load_plugins", lambda: plugins)
    with pytest.raises(PluginError, match="mura-run's own layouts are missing; install it again"):
        read_manifest(mura)
