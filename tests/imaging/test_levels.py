"""Grey levels: every bit depth spans all levels, whether a file declares it or the user does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import mura_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from png_writer import KINDS, chunk, png_of
from tiff_writer import tiff

from mura_core.data import Manifest, prepare, read_manifest
from mura_core.errors import RadiographError
from mura_core.imaging import Square, read_radiograph
from mura_core.imaging.levels import luma, luma_of_inks, spanning

TWELVE = np.array([[0, 1, 2048], [4094, 4095, 100]], np.uint16)
# By hand: level * 65535 / 4095, rounded.
SPANNING = np.array([[0, 16, 32776], [65519, 65535, 1600]], np.uint16)


def png(samples: np.ndarray, colour: int = 0, sbit: bytes = b"", depth: int = 16) -> bytes:
    between = chunk(b"sBIT", sbit) if sbit else b""
    return png_of(samples.reshape(*samples.shape[:2], -1), depth, colour, [0], between=between)


def test_samples_that_are_not_scaled_to_the_depth_of_the_file_are():
    np.testing.assert_array_equal(read_radiograph(png(TWELVE, sbit=b"\x0c")), SPANNING)
    grey_alpha = np.dstack([TWELVE, np.full_like(TWELVE, 4095)])
    np.testing.assert_array_equal(read_radiograph(png(grey_alpha, 4, b"\x0c\x0c")), SPANNING)
    colour = np.dstack([TWELVE] * 3)
    np.testing.assert_array_equal(read_radiograph(png(colour, 2, b"\x0c" * 3)), SPANNING)
    four = np.array([[0, 3, 15]], np.uint8)
    read = read_radiograph(png(four, sbit=b"\4", depth=8))
    np.testing.assert_array_equal(read, [[0, 51, 255]])


@pytest.mark.parametrize("original", range(1, 16))
def test_samples_that_are_scaled_as_the_specification_wants_are_not_changed(original):
    levels = np.arange(0, 2**original, max(1, 2**original // 512))
    highest = 2**original - 1
    for darkest in (levels, levels[: len(levels) // 40 + 1]):
        for scaled in (darkest << (16 - original), (darkest * 65535 + highest // 2) // highest):
            content = png(scaled[None].astype(np.uint16), sbit=bytes([original]))
            np.testing.assert_array_equal(read_radiograph(content), scaled[None])


def test_without_a_declaration_the_user_gives_the_depth():
    for content, expected in (
        (png(TWELVE), SPANNING),
        (png(np.dstack([TWELVE] * 3), 2), SPANNING),
        (tiff(TWELVE, photometric=0), 65535 - SPANNING),
    ):
        np.testing.assert_array_equal(read_radiograph(content, bit_depth=12), expected)
    ten = png(TWELVE // 4, sbit=b"\x0a")
    np.testing.assert_array_equal(read_radiograph(ten, bit_depth=12), read_radiograph(ten))
    eight = png(np.array([[7, 200]]), depth=8)
    np.testing.assert_array_equal(read_radiograph(eight, bit_depth=12), [[7, 200]])
    byte = read_radiograph(png(np.array([[7, 255]])), bit_depth=8)
    np.testing.assert_array_equal(byte, np.array([[7, 255]], np.uint8), strict=True)


def test_a_depth_that_is_too_small_is_refused():
    message = "it: has the level 4095, but --bit-depth 10 allows only 0 to 1023"
    with pytest.raises(RadiographError, match=message):
        read_radiograph(png(TWELVE), "it", bit_depth=10)
    with pytest.raises(ValueError, match="bit_depth must be 8 to 16, got 7"):
        Square(bit_depth=7)


@given(st.integers(1, 16), st.integers(0, 10**6))
def test_spanning_is_exact(depth, seed):
    samples = np.random.default_rng(seed).integers(0, 2**depth, (3, 5)).astype(np.uint16)
    full = 255 if depth <= 8 else 65535
    found = spanning(samples, depth)
    assert found.dtype == (np.uint8 if depth <= 8 else np.uint16)
    assert np.abs(found - samples * (full / (2**depth - 1))).max() <= 0.5


@given(st.integers(0, 10**6))
def test_luma_of_16_bits_is_that_of_8_bits_and_the_formula(seed):
    colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    wide = luma(colours[..., :3].astype(np.uint16) * 257)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(wide - colours[..., :3] @ weights * 257).max() < 1
    assert np.abs(luma(colours[..., :3]) - wide / 257).max() <= 1
    inks = Image.frombytes("CMYK", (5, 4), colours.tobytes())
    by_pillow = np.asarray(inks.convert("RGB").convert("L"))
    np.testing.assert_array_equal(luma_of_inks(colours), by_pillow)
    assert np.abs(luma_of_inks(colours.astype(np.uint16) * 257) / 257 - by_pillow).max() < 2


def write_set(folder: Path, levels: np.ndarray, content=png) -> Manifest:
    for number in range(12):
        name = f"HAND/p{number}/s_{'positive' if number % 2 else 'negative'}/1.png"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content(levels // (number + 1)))
    return read_manifest(folder)


def test_a_prepared_set_knows_its_largest_level_and_is_of_one_depth(tmp_path):
    manifest = write_set(tmp_path / "data", TWELVE)
    dark = prepare(manifest, tmp_path, Square(2))
    assert dark.largest_16_bit_level == 4095
    assert dark.images.max() <= 16
    bright = prepare(manifest, tmp_path, Square(2, bit_depth=12))
    assert bright.folder != dark.folder
    assert bright.largest_16_bit_level == 65535
    assert bright.images.max() > 150
    eight = write_set(tmp_path / "eight", TWELVE // 16, lambda levels: png(levels, depth=8))
    assert prepare(eight, tmp_path, Square(2)).largest_16_bit_level == 0


@pytest.mark.parametrize(
    ("levels", "options", "said"),
    [
        (TWELVE, (), "levels up to 4095 of 65535, .* hold 12 bits, use --bit-depth 12"),
        (TWELVE // 5, (), "levels up to 819 of 65535, .* hold 10 bits, use --bit-depth 10"),
        (TWELVE, ("--bit-depth", "12"), None),
        (TWELVE * 4 + 4, (), None),
    ],
)
def test_nearly_black_images_are_told_with_the_remedy(levels, options, said, tmp_path):
    write_set(tmp_path / "data", levels)
    result = mura_run("prepare", "--data", tmp_path / "data", "--size", 8, *options)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "nearly black" in line]
    assert len(lines) == (said is not None)
    if said:
        assert re.search(said, lines[0])


def test_without_the_extensions_every_kind_has_the_same_pixels(tmp_path):
    random = np.random.default_rng(4)
    for number, (colour, depth) in enumerate(dict.fromkeys(KINDS)):
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        samples = random.integers(0, 2**depth, (11, 13, channels))
        palette = chunk(b"PLTE", random.bytes(2**depth * 3)) if colour == 3 else b""
        for interlaced in (False, True):
            content = png_of(
                samples, depth, colour, [4, 3, 1, 2], interlaced=interlaced, between=palette
            )
            (tmp_path / f"{number}{interlaced}.png").write_bytes(content)
    code = (
        "import sys, json; from pathlib import Path; from mura_core.imaging import read_radiograph;"
        "print(json.dumps([read_radiograph(path).tobytes().hex()"
        " for path in sorted(Path(sys.argv[1]).iterdir())]))"
    )
    compiled, pure = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code, tmp_path],
                env=os.environ | {"MURA_PURE": choice}, capture_output=True, check=True,
            ).stdout
        )
        for choice in ("0", "1")
    )  # fmt: skip
    assert len(compiled) == 2 * len(set(KINDS))
    assert compiled == pure
