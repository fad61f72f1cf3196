"""A short run of the fuzzer (`make fuzz` is the long one), with sanitizers."""

import shutil
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from png_writer import file_of, header

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import fuzz_png
import sanitized


def has_sanitizer() -> bool:
    return shutil.which("gcc") is not None and Path(sanitized.sanitizer_library()).is_file()


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
