"""No image takes more than 300 MB: larger ones are refused before memory is allocated."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from child_memory import PEAK_KIBIBYTES

READ = (
    PEAK_KIBIBYTES
    + """
import json, sys
from mura_core.imaging import Square, stream_images
list(stream_images([sys.argv[2]], Square(224), threads=1))  # what is allocated once
before = peak_kibibytes()
[read] = stream_images([sys.argv[1]], Square(224), threads=1)
print(json.dumps([str(getattr(read, "shape", read)), (peak_kibibytes() - before) / 1000]))
"""
)


def write_png(path: Path, width: int, height: int, depth: int) -> Path:
    """Write a black image, a row at a time."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        size, checksum = len(content), zlib.crc32(kind + content)
        return struct.pack(">I", size) + kind + content + struct.pack(">I", checksum)

    row, compressor = bytes(1 + width * depth // 8), zlib.compressobj(1)
    rows = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(
        signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return path


def outcome(path: Path, small: Path) -> tuple[str, float]:
    """Return what was read, and the megabytes that it took."""
    command = [sys.executable, "-c", READ, str(path), str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, megabytes = json.loads(done.stdout)
    return said, megabytes


@pytest.mark.slow
@pytest.mark.parametrize("size", [(30_000, 2000), (2000, 30_000), (7740, 7740)])
def test_the_largest_images_take_at_most_300_megabytes(size: tuple[int, int], tmp_path: Path):
    small = write_png(tmp_path / "small.png", 8, 8, 16)
    said, megabytes = outcome(write_png(tmp_path / "large.png", *size, 16), small)
    assert said == "(224, 224)"
    assert 100 < megabytes < 310


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60_000_000, 1), (30_001, 1), (1, 30_001), (7747, 7747)])
def test_larger_images_are_refused_without_taking_memory(size: tuple[int, int], tmp_path: Path):
    small = write_png(tmp_path / "small.png", 8, 8, 16)
    said, megabytes = outcome(write_png(tmp_path / "large.png", *size, 16), small)
    assert f"has {size[0]} x {size[1]} pixels; the limit is" in said
    assert megabytes < 5
