"""File formats that plugins read: found in folders, used everywhere, and each by one reader."""

import numpy as np
import pytest
from command_line import mura_run, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core import Square, extract, prepare, read_manifest
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
    install("mura-other", reader("mura_other", (".dcm", ".Raw8")))
    out = ["--out", tmp_path / "run"] if command == "train" else []
    message = ".raw8 files: mura-other and mura-raw both read them; uninstall mura-raw"
    refused(2, message, command, "--data", raw_data, "--size", 32, *out)
    assert not (tmp_path / "run").exists()
    with pytest.raises(PluginError, match="mura-other and mura-raw"):
        extract(raw_data, tmp_path / "cache", square=Square(4))


def test_a_reader_cannot_replace_the_cores(install, raw_data):
    install("mura-raw", reader("mura_raw", (".raw8", ".PNG")))
    message = ".png files: mura-run and mura-raw both read them; uninstall mura-raw"
    refused(2, message, "prepare", "--data", raw_data, "--size", 4)


endings = st.lists(st.sampled_from([".a", ".B", ".b", ".c", ".png"]), min_size=1, max_size=3)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offered=st.lists(endings, max_size=4))
def test_each_ending_has_one_reader_or_none_is_used(offered):
    offers = [
        Offer(Reader(f"r{number}", tuple(suffixes), "numpy:fromfile", ""), f"dist{number}", "1")
        for number, suffixes in enumerate(offered)
    ]
    plugins = Plugins(readers=offers)
    lowered = [suffix.lower() for suffixes in offered for suffix in suffixes]
    if len({*lowered, ".png"}) == len(lowered) + 1:
        assert list(plugins.readers_by_suffix([".png"])) == lowered
    else:
        with pytest.raises(PluginError, match="both read them; uninstall dist"):
            plugins.readers_by_suffix([".png"])
