"""The check of readers names the requirement that a reader violates."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mura_plugins import Reader
from mura_plugins.testing import check_reader

MAGIC = b"RAW16\0"
PIXELS = np.array([[0, 4095, 100], [200, 300, 4095]], np.uint16)  # a 12-bit image


def write(path: Path) -> Path:
    path.write_bytes(MAGIC + PIXELS.tobytes())
    return path


def stored(path: Path) -> np.ndarray:
    content = path.read_bytes()
    assert content.startswith(MAGIC)
    return np.frombuffer(content, np.uint16, offset=len(MAGIC)).reshape(PIXELS.shape)


def read(path: Path) -> np.ndarray:
    return np.rint(stored(path) * (65535 / 4095)).astype(np.uint16)


def lenient(path: Path) -> np.ndarray:
    try:
        return read(path)
    except (AssertionError, ValueError):
        return np.uint16([[0, 65535]])


def changing(path: Path) -> np.ndarray:
    image = read(path)
    path.write_bytes(MAGIC)
    return image


def by_name(path: Path) -> np.ndarray:
    return read(path) if path.stem == "image" else 65535 - read(path)


def record(function, **fields) -> Reader:
    module = types.ModuleType("a_reader_to_check")
    module.read = function
    sys.modules[module.__name__] = module
    given = {"suffixes": (".raw16",), "signatures": ((0, MAGIC),)} | fields
    return Reader("raw", read="a_reader_to_check:read", summary="", **given)


@pytest.mark.parametrize("name", ["image.raw16", "image.RAW16", "image", "image.1.2"])
def test_a_reader_that_keeps_the_contract_passes(tmp_path, name):
    check_reader(record(read), write(tmp_path / name))


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (stored, "white is 4095, not 65535"),
        (lambda path: stored(path) << 3, "white is 32760, not 65535"),
        (lambda path: np.maximum(read(path), 2000), "black is 2000, not 0"),
        (lambda path: (read(path) >> 9).astype(np.uint8), "white is 127, not 255"),
        (lambda path: read(path).astype(np.float32), "float32, not uint8 or uint16"),
        (lambda path: read(path).astype(np.int16), "int16, not uint8 or uint16"),
        (lambda path: read(path)[..., None], r"shape \(2, 3, 1\); expected \(H, W\)"),
        (lambda path: read(path)[:0], r"shape \(0, 3\): no pixels"),
        (lambda path: read(path).tolist(), "a list, not an ndarray"),
        (lenient, "an empty file is read as an image"),
        (changing, "reading changed the file"),
        (by_name, "a copy of the file gives another image"),
    ],
)
def test_a_violated_requirement_is_named(tmp_path, function, fault):
    with pytest.raises(AssertionError, match=fault):
        check_reader(record(function), write(tmp_path / "image.raw16"))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"suffixes": ("raw16",)}, "doesn't start with a dot"),
        ({"suffixes": (".RAW16",)}, "isn't in lower case"),
        ({"signatures": ((0, b""),)}, "a signature has no bytes"),
        ({"signatures": ((0, "RAW16"),)}, r"expected a tuple of \(int, bytes\)"),
        ({"signatures": ((-1, MAGIC),)}, "is negative"),
        ({"suffixes": (".other",), "signatures": ()}, "neither a suffix nor a signature"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, fields, fault):
    with pytest.raises(AssertionError, match=fault):
        check_reader(record(read, **fields), write(tmp_path / "image.raw16"))


def test_a_file_cut_in_half_must_be_refused(tmp_path):
    def padded(path):
        content = path.read_bytes()
        assert content
        pixels = content[len(MAGIC) :].ljust(PIXELS.nbytes, b"\0")
        scaled = np.frombuffer(pixels, np.uint16).reshape(PIXELS.shape) * (65535 / 4095)
        return np.rint(scaled).astype(np.uint16)

    with pytest.raises(AssertionError, match="cut in half is read as an image"):
        check_reader(record(padded), write(tmp_path / "image.raw16"))
