"""TIFF files that would make a reader wait, take memory or write to the console."""

import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiff_writer import (
    DEFLATE,
    JPEG,
    LONG,
    LZMA,
    LZW,
    PACKBITS,
    SHORT,
    ZSTD,
    tiff,
    tiff_file,
)

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

GREY = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
MOST_BYTES, MOST_SECONDS = 300_000_000, 5


def refuse(content: bytes, reason: str) -> None:
    """Check that a file is refused without much time and memory."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(RadiographError, match=reason):
            read_radiograph(content)
        assert time.monotonic() - start < MOST_SECONDS
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def chain(length: int) -> bytes:
    """Return a file whose first directory is followed by a circle of empty ones."""
    content = bytearray(tiff(GREY))
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    start = len(content)
    struct.pack_into("<I", content, first + 2 + 12 * count, start)
    for number in range(1, length + 1):
        following = start + 6 * (number % length)
        content += struct.pack("<HI", 0, following)
    return bytes(content)


def test_a_broken_second_directory_is_refused():
    content = bytearray(tiff(GREY))
    (first,) = struct.unpack_from("<I", content, 4)
    following = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    for where, reason in (
        (len(content) - 1, "its TIFF directory is cut off"),
        (first, "form a circle"),
    ):
        struct.pack_into("<I", content, following, where)
        refuse(bytes(content), reason)


@pytest.mark.parametrize("length", [1, 2, 99, 100, 150, 100_000])
def test_directories_in_a_circle_end(length):
    refuse(chain(length), "its TIFF directories form a circle")


def test_large_directories_that_overlap_are_passed_quickly():
    # 5,000 directories of 20,000 tags each, which start at every fourth byte.
    content = bytearray(tiff(GREY))
    start, size = len(content), 2 + 12 * 20_000
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<I", content, first + 2 + 12 * count, start)
    content += struct.pack("<HH", 20_000, 0) * 5_000 + bytes(size)
    for at in range(start, start + 4 * 4_999, 4):
        struct.pack_into("<I", content, at + size, at + 4)
    refuse(bytes(content), "contains 5001 images")


def test_tags_that_hold_the_same_bytes_thousands_of_times_are_loaded_once():
    data = bytes(400_000)
    entry = struct.pack("<HHII", 273, SHORT, len(data) // 2, 8)
    texts = struct.pack("<HHII", 270, 2, len(data), 8)
    for repeated in (entry, texts):
        directory = struct.pack("<H", 4000) + 4000 * repeated + bytes(4)
        content = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory
        refuse(content, "it has no TIFF tag 256")


@pytest.mark.parametrize("compression", [1, LZW, JPEG, DEFLATE, PACKBITS, LZMA, ZSTD])
@pytest.mark.parametrize(
    ("layout", "tags"),
    [
        ({}, {256: (LONG, [7700]), 257: (LONG, [7700]), 278: (LONG, [7700])}),
        ({}, {257: (LONG, [30_000]), 278: (LONG, [2**32 - 1])}),
        ({"tile": (16, 16)}, {322: (LONG, [7700]), 323: (LONG, [7700])}),
        ({"tile": (16, 16)}, {322: (LONG, [2**31]), 323: (LONG, [2**31])}),
        ({"tile": (16, 16)}, {322: (LONG, [2**32 - 1]), 323: (LONG, [2**32 - 1])}),
        ({"tile": (16, 16)}, {322: (LONG, [8000]), 323: (LONG, [8000]), 277: (SHORT, [8])}),
    ],
)
def test_small_files_of_huge_strips_and_tiles_take_little_memory(layout, tags, compression):
    tags = {259: (SHORT, [compression])} | tags
    refuse(tiff(np.zeros((1, 1), np.uint8), tags=tags, **layout), "is damaged|of an unsupported")


def test_data_that_unpack_to_more_than_the_image_are_refused():
    bomb = zlib.compress(bytes(2 * MOST_BYTES), 1)
    tags = {
        256: (LONG, [8]), 257: (LONG, [8]), 258: (SHORT, [8]), 259: (SHORT, [DEFLATE]),
        262: (SHORT, [1]), 273: (LONG, [0]), 279: (LONG, [len(bomb)]),
    }  # fmt: skip
    refuse(tiff_file(tags, bomb), "strip 0 can't be decoded to exactly its pixels")


def test_a_black_image_that_compresses_to_almost_nothing_is_read():
    black = np.zeros((2000, 2000), np.uint16)
    for compression in (DEFLATE, LZMA, ZSTD):
        content = tiff(black, compression=compression)
        np.testing.assert_array_equal(read_radiograph(content), black)


def test_nothing_that_tifffile_logs_is_shown(tmp_path):
    for number, tags in enumerate(({278: (LONG, [20])}, {262: (SHORT, [77])})):
        (tmp_path / f"{number}.tif").write_bytes(tiff(GREY, tags=tags))
    script = (
        "import logging, pathlib; from mura_core.errors import RadiographError\n"
        "from mura_core.imaging import read_radiograph\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        f"for path in pathlib.Path({str(tmp_path)!r}).iterdir():\n"
        "    try: read_radiograph(path)\n"
        "    except RadiographError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert (done.stdout.split(), done.stderr) == ([b"refused"] * 2, b"")


def test_threads_read_files_at_once():
    compressions = (1, LZW, DEFLATE, PACKBITS, LZMA, ZSTD) * 8
    images = [GREY ^ number for number in range(len(compressions))]
    files = [
        tiff(image, compression=compression, rows=4)
        for image, compression in zip(images, compressions, strict=True)
    ]
    with ThreadPoolExecutor(8) as pool:
        for read, image in zip(pool.map(read_radiograph, files), images, strict=True):
            np.testing.assert_array_equal(read, image)


def test_tifffile_is_imported_by_the_first_tiff_file_only(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(GREY))
    script = (
        "import io, sys, numpy as np; from PIL import Image\n"
        "from mura_core.imaging import read_radiograph\n"
        "file = io.BytesIO(); Image.fromarray(np.zeros((4, 4), np.uint8)).save(file, 'PNG')\n"
        "read_radiograph(file.getvalue()); assert 'tifffile' not in sys.modules\n"
        f"read_radiograph({str(tmp_path / 'a.tif')!r}); assert 'tifffile' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
