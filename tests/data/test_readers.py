"""File formats that plugins read: found in folders, used everywhere, and each by one reader."""

import numpy as np
import pytest
from command_line import mura_run, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core import Square, extract, prepare, read_manifest
from mura_core.data import installed_readers
from mura_core.errors import RadiographError, UsageError
from mura_core.imaging import image_files, read_radiograph, reader_of
from mura_plugins import PluginError, Reader
from mura_plugins.manager import Offer, Plugins

READER = """
import numpy as np
import mura_plugins as mura

@mura.hookimpl
def mura_readers():
    yield mura.Reader("{name}", {suffixes}, "{module}:read", "Squares of bytes.")

def read(path):
    pixels = np.fromfile(path, np.uint8)
    return pixels.reshape(2 * (round(len(pixels) ** 0.5),))
"""


def reader(module: str, suffixes: tuple[str, ...] = (".raw8",)) -> str:
    return READER.format(name=module, module=module, suffixes=suffixes)


@pytest.fixture
def raw_data(tmp_path):
    """A folder without CSVs, whose images only a plugin can read."""
    folder = tmp_path / "raw"
    for number in range(12):
        label = "positive" if number % 2 else "negative"
        split = "valid" if number % 4 > 1 else "train"
        study = folder / split / "XR_HAND" / f"patient{number}" / f"study1_{label}"
        study.mkdir(parents=True)
        pixels = np.full((6, 6), 10 * number, np.uint8)
        (study / f"image.{'RAW8' if number < 3 else 'raw8'}").write_bytes(pixels.tobytes())
    return folder


def test_a_plugins_files_are_found_in_a_folder_and_extracted(install, raw_data, tmp_path):
    refused(1, "no radiographs found", "prepare", "--data", raw_data, "--size", 4)
    install("mura-raw", reader("mura_raw"))
    manifest = read_manifest(raw_data)
    assert len(manifest.table) == 12
    prepared = prepare(manifest, tmp_path / "prepared", Square(4))
    assert sorted(prepared.images[:, 0, 0].tolist()) == [10 * number for number in range(12)]
    extracted = extract(raw_data, tmp_path / "cache", square=Square(4), standardise=False)
    assert sorted(extracted.images[:, 0, 0].tolist()) == [0, 10, 40, 50, 80, 90]
    done = mura_run("prepare", "--data", raw_data, "--size", 4)
    assert done.exit_code == 0, done.output
    assert "Prepared 12 images" in done.output


def test_a_run_trains_and_judges_what_a_plugin_reads(install, raw_data, tmp_path):
    install("mura-raw", reader("mura_raw"))
    run = tmp_path / "run"
    done = mura_run(
        "train", "--data", raw_data, "--model", "conv2", "--size", 32, "--epochs", 1, "--out", run
    )
    assert done.exit_code == 0, done.output
    assert "weren't drawn" not in done.output
    assert len((run / "predictions.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_two_readers_of_one_ending_are_both_named(install, raw_data, tmp_path, command):
    install("mura-raw", reader("mura_raw"))
    install("mura-other", reader("mura_other", (".foo", ".Raw8")))
    out = ["--out", tmp_path / "run"] if command == "train" else []
    message = ".raw8 files: mura-other and mura-raw both read them; uninstall mura-raw"
    refused(2, message, command, "--data", raw_data, "--size", 32, *out)
    assert not (tmp_path / "run").exists()
    with pytest.raises(PluginError, match="mura-other and mura-raw"):
        extract(raw_data, tmp_path / "cache", square=Square(4))


def test_a_reader_cannot_replace_the_cores(install, raw_data):
    install("mura-raw", reader("mura_raw", (".raw8", ".PNG")))
    done = mura_run("prepare", "--data", raw_data, "--size", 4)
    message = "The reader mura_raw of mura-raw is not used: mura-run itself reads .PNG. Update or"
    assert done.stderr.count(message) == 1
    readers = installed_readers()
    assert not {".png", ".raw8"} & set(readers)


BY_SIGNATURE = """
import numpy as np
import mura_plugins as mura

@mura.hookimpl
def mura_readers():
    yield mura.Reader("marked", (".mark",), "mura_marked:read", "Marked.", ((4, b"MARK"),))

def read(path, *, window=(0, 9)):
    return np.full((3, 3), window[1], np.uint8)
"""


@pytest.fixture
def marked(install, tmp_path):
    """A folder with files that are marked at byte 4, and others."""
    install("mura-marked", BY_SIGNATURE)
    folder = tmp_path / "marked"
    folder.mkdir()
    for name in ("IM0001", "1.2.840.9", "photo.png", "a.MARK"):
        (folder / name).write_bytes(b"....MARK....")
    for name in ("README", "short", "empty"):
        (folder / name).write_bytes({"README": b"MARK....", "short": b"....MAR"}.get(name, b""))
    return folder


def test_files_without_a_known_ending_are_recognised_by_their_signature(marked):
    readers = installed_readers()
    found = [path.name for path in image_files([marked], readers).images]
    assert found == ["1.2.840.9", "IM0001", "a.MARK", "photo.png"]
    for name in ("1.2.840.9", "IM0001", "a.MARK", "photo.png"):
        assert read_radiograph(marked / name, readers=readers).tolist() == [[9] * 3] * 3
    for name in ("README", "short", "gone"):
        with pytest.raises(RadiographError):
            read_radiograph(marked / name, readers=readers)
    assert reader_of(marked / "gone", readers) is None


def test_a_signature_has_one_reader(install, marked, raw_data):
    install("mura-other", BY_SIGNATURE.replace('(".mark",)', "()"))
    message = "b'MARK' at byte 4 files: mura-marked and mura-other both read them"
    refused(2, message, "prepare", "--data", raw_data, "--size", 4)


def test_a_reader_receives_the_window(marked):
    readers = installed_readers(window="100,50")
    assert read_radiograph(marked / "IM0001", readers=readers)[0, 0] == 50
    assert read_radiograph(marked / "a.MARK", readers=readers)[0, 0] == 50


@pytest.mark.parametrize("window", ["9", "1,2,3", "a,b", "nan,1", "1,inf", "1,0.5", "1,-4", ","])
def test_a_wrong_window_is_refused(window):
    with pytest.raises(UsageError, match="is not CENTRE,WIDTH"):
        installed_readers(window=window)


def test_images_are_prepared_anew_for_another_window(install, marked, tmp_path):
    (tmp_path / "marked" / "manifest.csv").write_text(
        "path,body_part,patient,study,label,split\n"
        "a.MARK,HAND,p1,s1,0,train\nIM0001,HAND,p2,s1,1,train\n"
    )
    manifest = read_manifest(marked)
    levels = [
        prepare(manifest, tmp_path / "c", Square(3), readers=installed_readers(window=window))
        .images[:, 0, 0].tolist()
        for window in ("", "5,20", "5,30", "6,30", "")
    ]  # fmt: skip
    assert levels == [[9, 9], [20, 20], [30, 30], [30, 30], [9, 9]]
    assert len(list((tmp_path / "c" / "prepared").glob("*/images.npy"))) == 4


endings = st.lists(st.sampled_from([".a", ".B", ".b", ".c", ".png"]), min_size=1, max_size=3)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offered=st.lists(endings, max_size=4))
def test_each_ending_has_one_reader_or_none_is_used(offered):
    offers = [
        Offer(Reader(f"r{number}", tuple(suffixes), "numpy:fromfile", ""), f"dist{number}", "1")
        for number, suffixes in enumerate(offered)
    ]
    plugins = Plugins(readers=offers)
    usable = [suffixes for suffixes in offered if ".png" not in suffixes]
    lowered = [suffix.lower() for suffixes in usable for suffix in suffixes]
    if len(set(lowered)) == len(lowered):
        assert list(plugins.reader_functions([".png"])) == lowered
    else:
        with pytest.raises(PluginError, match="both read them; uninstall dist"):
            plugins.reader_functions([".png"])
