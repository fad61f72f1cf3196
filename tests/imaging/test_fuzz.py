"""Short runs of the fuzzers (`make fuzz` runs them for long)."""

import os
import shutil
import sys
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from png_writer import file_of, header

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import fuzz_formats
import fuzz_png
import sanitized

from mura_core.errors import RadiographError


def has_sanitizer() -> bool:
    return shutil.which("gcc") is not None and Path(sanitized.sanitizer_library()).is_file()


FILES = fuzz_formats.good_files()


@pytest.mark.parametrize("name", FILES)
def test_no_mutant_of_another_format_ends_a_run_or_writes_to_the_console(name, tmp_path):
    for kind, content in FILES[name].items():
        expected = "refused" if kind in fuzz_formats.SEVERAL else "read"
        assert fuzz_formats.outcome_of(content) == expected, kind
    outcomes = fuzz_formats.fuzz(FILES[name], 1_500, seed=3, keep=tmp_path / "mutant")
    assert min(outcomes["read"], outcomes["refused"]) > 150


def test_the_judge_of_other_formats_finds_what_it_looks_for(monkeypatch, tmp_path):
    pixels = np.zeros((2, 2), np.uint8)

    def write_from_c(content: bytes) -> np.ndarray:
        os.write(2, b"TIFFReadDirectory: Warning")
        return pixels

    def warn(content: bytes) -> np.ndarray:
        warnings.warn("Possibly corrupt EXIF data", stacklevel=1)
        return pixels

    def make_a_mistake(content: bytes) -> None:
        raise RadiographError("it", "can't be read") from NameError("inflater")

    def fail(content: bytes) -> None:
        raise ZeroDivisionError

    for odd, kind in (
        (write_from_c, AssertionError),
        (warn, AssertionError),
        (make_a_mistake, AssertionError),
        (fail, ZeroDivisionError),
    ):
        monkeypatch.setattr(fuzz_formats, "read_radiograph", odd)
        with pytest.raises(kind):
            fuzz_formats.fuzz(FILES["BMP"], 1, seed=0, keep=tmp_path / "mutant")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(15_000, marks=pytest.mark.exhaustive)])
@pytest.mark.skipif(not has_sanitizer(), reason="gcc's AddressSanitizer isn't installed")
def test_no_mutant_steps_out_of_bounds_or_is_read_where_libpng_refuses(
    count, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    sanitized.build(tmp_path)
    names = sanitized.NAMES[: sanitized.best_instructions() + 1]
    assert sanitized.fuzz(tmp_path, count=count, seed=2, names=names) == 0
    assert not (tmp_path / "failing-mutant.png").exists()


def test_the_judge_finds_an_image_that_libpng_refuses(monkeypatch):
    # A reader that makes an image of anything must not pass.
    good = (fuzz_png.CORPUS / "L-mixed.png").read_bytes()
    pixels = fuzz_png.read_png(good, fuzz_png.LIMIT)
    random = np.random.default_rng(0)
    assert fuzz_png.outcome_of(good, random) == "read"
    monkeypatch.setattr(fuzz_png, "read_png", lambda content, limit: pixels)
    for rows in (b"\5" + bytes(53), bytes(40)):  # a filter that doesn't exist, rows missing
        with pytest.raises(imagecodecs.PngError):
            fuzz_png.outcome_of(file_of(header(8, 6), rows), random)
    monkeypatch.setattr(fuzz_png, "read_png", lambda content, limit: pixels + 1)
    with pytest.raises(AssertionError):
        fuzz_png.outcome_of(good, random)
