"""`mura-run check-plugin`: every broken promise is a sentence, and the exit status says so."""

import numpy as np
import pytest
from command_line import mura_run
from data_sets import write_image

from mura_plugins import Architecture, Explainer, LabelledImage, LabelledImages, Layout, Reader
from mura_plugins.testing import (
    ContractError,
    check_architecture,
    check_explainer,
    check_layout,
    check_reader,
)

PLUGIN = """
import numpy as np
import mura_plugins as mura

@mura.hookimpl
def mura_explainers():
    return [
        mura.Explainer("slope", "mura_theirs:slope", "", "", signed=True),
        mura.Explainer("broken-slope", "mura_theirs:flat", "", ""),
        mura.Explainer("choosy", "mura_theirs:choosy", "", ""),
        mura.Explainer("missing", "mura_theirs:gone", "", ""),
    ]

@mura.hookimpl
def mura_readers():
    return [mura.Reader("raw", (".raw",), "mura_theirs:read", "")]

@mura.hookimpl
def mura_layouts():
    return [mura.Layout("list", "mura_theirs:recognise", "mura_theirs:read_list", "")]

def slope(network, images, *, toward, seed):
    return toward * images * network.pixel_gradients(images)

def flat(network, images, *, toward, seed):
    return np.abs(slope(network, images, toward=toward, seed=seed)).mean(axis=0)

def choosy(network, images, *, toward, seed):
    raise mura.NotApplicable("it is too small", "Use another.")

def read(path):
    pixels = np.fromfile(path, np.uint8)
    if not len(pixels):
        raise mura.PluginError("is empty")
    return pixels.reshape(2, len(pixels) // 2) * 255

def recognise(data):
    return (data / "list.txt").is_file()

def read_list(data):
    lines = (data / "list.txt").read_text().split()
    return mura.LabelledImages(data, [mura.LabelledImage(p, "HAND", p, "1", 1) for p in lines])
"""


def lines(result) -> dict[str, str]:
    said = (line.split(maxsplit=3) for line in result.stdout.splitlines())
    return {name.rstrip(":"): " ".join([status, *rest]) for status, _, name, *rest in said}


def test_everything_that_a_distribution_provides_is_checked(install, tmp_path):
    install("mura-theirs", PLUGIN)
    (tmp_path / "a.raw").write_bytes(bytes([0, 1, 1, 0, 1, 1]))
    data = tmp_path / "data"
    write_image(data / "one.png", np.zeros((4, 4), np.uint8))
    (data / "list.txt").write_text("one.png two.png")
    examples = ["--example", tmp_path / "a.raw", "--example", data]
    done = mura_run("check-plugin", "mura_theirs", *examples)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("Error: mura_theirs breaks 3 of its promises;")
    said = lines(done)
    assert said["slope"] == "kept"
    assert said["broken-slope"] == "broken maps have shape (32, 48); expected (N, h, w)"
    assert said["choosy"] == "unchecked it is too small. Use another."
    assert said["missing"].startswith("broken mura_theirs:gone can't be imported")
    assert said["raw"] == "kept"
    assert said["list"] == f"broken 'two.png' is not a file below {data}"
    (data / "list.txt").write_text("one.png")
    for name in ("list", "raw", "slope", "choosy"):
        done = mura_run("check-plugin", name, *examples)
        assert done.exit_code == 0, done.output
        assert list(lines(done)) == [name]
    unchecked = lines(mura_run("check-plugin", "raw"))["raw"]
    assert unchecked == "unchecked it needs a file of its format: --example PATH"


def test_a_plugin_that_fails_to_load_is_broken_and_an_unknown_one_is_refused(install):
    install("mura-ends", "import os\nos._exit(3)")
    done = mura_run("check-plugin", "mura-ends")
    assert done.exit_code == 1
    assert "importing it ends the program (exit status 3)" in lines(done)["mura-ends"]
    done = mura_run("check-plugin", "mura-other")
    assert done.exit_code == 2
    assert "'mura-other' is neither an installed distribution" in done.stderr


def test_a_plugin_is_imported_again_though_it_was_harmful(install, tmp_path):
    flag = tmp_path / "flag"
    net = "m.Layout('theirs', 'a:b', 'a:b', '')"
    hook = f"import mura_plugins as m\n@m.hookimpl\ndef mura_layouts(): return [{net}]\n"
    ends = f"import os\nif not os.path.exists({str(flag)!r}): os._exit(1)\n"
    install("mura-ends", ends + hook)
    assert mura_run("check-plugin", "mura-ends").exit_code == 1
    flag.touch()
    assert "ends the program" in mura_run("plugins").stderr
    assert mura_run("check-plugin", "mura-ends").exit_code == 0
    assert "theirs" in mura_run("plugins").stdout


# What the checks raise --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        lambda path: check_architecture(Architecture("n", "no_such:build", "", "")),
        lambda path: check_architecture(Architecture("n", "numpy:array", "", "")),
        lambda path: check_architecture(Architecture("n n", "numpy:zeros", "", "")),
        lambda path: check_architecture(Architecture(3, "numpy:zeros", "", "")),
        lambda path: check_explainer(Explainer("n", "numpy:zeros", "", "")),
        lambda path: check_explainer(Explainer("n", "numpy:no_such", "", "")),
        lambda path: check_explainer(Explainer("n", "builtins:exit", "", "")),
        lambda path: check_reader(Reader("n", (".a",), "builtins:exit", ""), path / "a.a"),
        lambda path: check_reader(Reader("n", (".a",), "numpy:load", ""), path / "gone.a"),
        lambda path: check_layout(Layout("n", "a:b", "c:d", ""), path),
        lambda path: check_layout(Layout("n", "os.path:exists", "os:listdir", ""), path),
        lambda path: check_layout(Layout("n", "os.path:isfile", "os:listdir", ""), path),
    ],
)
def test_a_check_raises_nothing_but_a_contract_error(check, tmp_path):
    (tmp_path / "a.a").write_bytes(b"a")
    with pytest.raises(ContractError) as broken:
        check(tmp_path)
    assert "\n" not in str(broken.value)


GOOD = LabelledImage("a.png", "HAND", "p1", "1", 1)


def returned(*images, **fields):
    return lambda data: LabelledImages(**({"folder": data, "images": images} | fields))


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (returned(GOOD), None),
        (returned(GOOD, GOOD._replace(path="b.png")), None),
        (lambda data: [GOOD], "read returned a list; expected LabelledImages"),
        (returned(), "no images of a data set that it recognises"),
        (returned(tuple(GOOD)), "not a LabelledImage"),
        (returned(GOOD, GOOD), "'a.png' is returned 2 times"),
        (returned(GOOD._replace(path="c.png")), "'c.png' is not a file below"),
        (returned(GOOD._replace(path="../a.png")), "leads outside the data"),
        (returned(GOOD._replace(path="x\\a.png")), "expected forward slashes"),
        (returned(GOOD._replace(path="/a.png")), "is absolute"),
        (returned(GOOD._replace(path=3)), "path of 3 is 3; expected a text"),
        (returned(GOOD._replace(patient="")), "patient of 'a.png' is ''"),
        (returned(GOOD._replace(study=1)), "study of 'a.png' is 1"),
        (returned(GOOD._replace(label=2)), "label of 'a.png' is 2; expected 1 abnormal, 0 normal"),
        (returned(GOOD._replace(label="1")), "label of 'a.png' is '1'"),
        (returned(GOOD._replace(split="dev")), "split of 'a.png' is 'dev'; expected train"),
        (
            returned(GOOD, GOOD._replace(path="b.png", split="train")),
            "1 of 2 images name no split",
        ),
        (returned(GOOD, notes="A note."), "notes are 'A note.'; expected a tuple"),
        (returned(GOOD, folder="data"), "folder is 'data'; expected a pathlib.Path"),
        (returned(GOOD, annotations="boxes.json"), "annotations is 'boxes.json'"),
        (lambda data: 1 / 0, "failed (ZeroDivisionError: division by zero)"),
        (lambda data: (data / "new").touch() or returned(GOOD)(data), "reading changed the data"),
    ],
)
def test_a_layout_that_breaks_its_contract_is_told_how(tmp_path, monkeypatch, read, fault):
    data = tmp_path / "data"
    for name in ("a.png", "b.png"):
        write_image(data / name, np.zeros((4, 4), np.uint8))
    layout = _layout(monkeypatch, lambda data: any(data.iterdir()), read)
    if fault is None:
        check_layout(layout, data)
        return
    with pytest.raises(ContractError) as broken:
        check_layout(layout, data)
    assert fault in str(broken.value)


@pytest.mark.parametrize(
    ("recognise", "fault"),
    [
        (lambda data: False, "recognise returned False for data; expected True"),
        (lambda data: "yes", "recognise returned 'yes' for data; expected True"),
        (lambda data: True, "recognise returned True for an empty folder; expected False"),
    ],
)
def test_a_layout_that_recognises_wrongly_is_told_how(tmp_path, monkeypatch, recognise, fault):
    write_image(tmp_path / "data" / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ContractError) as broken:
        check_layout(_layout(monkeypatch, recognise, returned(GOOD)), tmp_path / "data")
    assert fault in str(broken.value)


def _layout(monkeypatch, recognise, read) -> Layout:
    monkeypatch.setattr("mura_plugins.recognise_for_test", recognise, raising=False)
    monkeypatch.setattr("mura_plugins.read_for_test", read, raising=False)
    return Layout("n", "mura_plugins:recognise_for_test", "mura_plugins:read_for_test", "")
