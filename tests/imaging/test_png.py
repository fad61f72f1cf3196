"""PNG files: the pixels that libpng reads, and refusals where libpng is lenient."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libpng import by_libpng
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from png_writer import SIGNATURE, chunk, file_of, filtered, header, interlaced_rows, random_png

from mura_core.errors import ImageFileError, PngError, RadiographError
from mura_core.imaging import read_radiograph
from mura_core.imaging._processor import best_instructions
from mura_core.imaging.png import _rows, inflate
from mura_core.imaging.png.reader import read_png

LIMIT = 10_000_000


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [3_000, pytest.param(20_000, marks=pytest.mark.exhaustive)])
def test_thousands_of_files_are_read_as_libpng_does(count):
    # All kinds of pixels, filters, odd sizes, single rows and columns, split data, interlaced ones.
    random = np.random.default_rng(0)
    for number in range(count):
        content = random_png(random, largest=60 if number % 10 == 0 else 25)
        read = read_png(content, LIMIT)
        np.testing.assert_array_equal(read, by_libpng(content), strict=True)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_pixels_are_those_of_libpng(seed):
    content = random_png(np.random.default_rng(seed), largest=70)
    np.testing.assert_array_equal(read_radiograph(content), by_libpng(content), strict=True)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 80),
    width=st.integers(1, 200),
    pixel_bytes=st.integers(1, 8),
)
def test_all_instructions_give_the_same_bytes(seed, height, width, pixel_bytes):
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (height, width * pixel_bytes + 1), dtype=np.uint8)
    rows[:, 0] = random.integers(0, 5, height)
    planes = np.empty((best_instructions() + 1, height, width), np.uint8)
    for number, plane in enumerate(planes):
        _rows.undo_filters(rows.tobytes(), pixel_bytes, pixel_bytes - 1, plane, number)
        np.testing.assert_array_equal(plane, planes[0])


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 120), pixel_bytes=st.sampled_from([3, 4]))
def test_one_differing_byte_makes_an_image_colour(seed, width, pixel_bytes):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (3, width, pixel_bytes), dtype=np.uint8)
    pixels[..., :3] = pixels[..., :1]

    def equal(instructions: int) -> bool:
        rows = np.hstack([np.zeros((3, 1), np.uint8), pixels.reshape(3, -1)]).tobytes()
        return _rows.channels_are_equal(rows, 3, width, pixel_bytes, instructions)

    every = range(best_instructions() + 1)
    assert all(equal(instructions) for instructions in every)
    pixels[random.integers(3), random.integers(width), random.integers(3)] ^= 1
    assert not any(equal(instructions) for instructions in every)


def test_every_paeth_choice():
    # All triples of neighbours from a spread of levels, by vectors, against the definition.
    levels = [0, 1, 2, 63, 64, 65, 127, 128, 129, 200, 254, 255]
    triples = np.array(np.meshgrid(levels, levels, levels)).reshape(3, -1)
    left, up, corner = triples.astype(np.uint8)
    pixels = np.zeros((32, 4 * len(left)), np.uint8)
    pixels[0::2, 0::4], pixels[0::2, 1::4], pixels[1::2, 0::4] = corner, up, left
    pixels[1::2, 1::4] = 77
    content = file_of(header(pixels.shape[1], 32), filtered(pixels, [4] * 32, 1))
    np.testing.assert_array_equal(read_png(content, LIMIT), pixels)


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
ROWS = filtered(GREY, [0, 1, 2, 3, 4, 0], 1)
GOOD = file_of(header(8, 6), ROWS)


def test_the_good_file_is_good():
    np.testing.assert_array_equal(read_png(GOOD, LIMIT), GREY)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file_of(header(8, 6), ROWS[:-9]), "not enough image data: 45 of 54 bytes"),
        (file_of(header(8, 6), ROWS + b"\0"), "too long"),
        (file_of(header(8, 6), b"\5" + ROWS[1:]), "row 0 has an unknown filter type"),
        (file_of(header(8, 6), ROWS[:45] + b"\xff" + ROWS[46:]), "row 5 has an unknown filter"),
        (GOOD + b"\0", "1 bytes after the IEND chunk"),
        (GOOD[:-12], "the file ends before the IEND chunk"),
        (GOOD[:-30], "the file ends"),
        (SIGNATURE + header(8, 6) + chunk(b"IEND", b""), "no IDAT chunk"),
        (SIGNATURE + chunk(b"IEND", b""), "IHDR must be the first chunk"),
        (SIGNATURE + header(8, 6) + GOOD[8:], "IHDR must be .* must not be repeated"),
        (SIGNATURE + header(0, 6), "invalid image size of 0 x 6"),
        (SIGNATURE + chunk(b"IHDR", b"short"), "IHDR chunk has 5 bytes"),
        (
            GOOD.replace(header(8, 6), header(8, 6) + chunk(b"ABCD", b"")),
            "unknown critical chunk 'ABCD'",
        ),
        (GOOD.replace(b"IEND", b"IENd"), "CRC mismatch"),
        (file_of(header(3000, 3000), ROWS), "bytes can't inflate to 9003000 bytes"),
    ],
)
def test_what_is_not_whole_is_refused(content, reason):
    with pytest.raises(PngError, match=reason) as caught:
        read_png(content, LIMIT)
    assert 0 <= caught.value.offset <= len(content)


@pytest.mark.parametrize("side", [3200, 30_001, 2**31 - 1])
def test_too_many_pixels_are_refused(side):
    with pytest.raises(ImageFileError, match=f"has {side} x {side} pixels; the limit is"):
        read_png(file_of(header(side, side), ROWS), LIMIT)


def test_data_behind_the_compressed_pixels_is_refused():
    stream = zlib.compress(ROWS) + b"more"
    content = SIGNATURE + header(8, 6) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    with pytest.raises(PngError):
        read_png(content, LIMIT)


def test_pixels_torn_apart_are_refused_and_split_ones_read():
    stream = zlib.compress(ROWS)
    first, second = chunk(b"IDAT", stream[:9]), chunk(b"IDAT", stream[9:])
    split = SIGNATURE + header(8, 6) + first + second + chunk(b"IEND", b"")
    np.testing.assert_array_equal(read_png(split, LIMIT), GREY)
    torn = split.replace(second, chunk(b"tIME", b"1234567") + second)
    with pytest.raises(PngError, match="IDAT chunks must be consecutive"):
        read_png(torn, LIMIT)


@pytest.mark.parametrize("position", range(8, len(GOOD)))
def test_no_flipped_bit_goes_unnoticed(position):
    damaged = bytearray(GOOD)
    damaged[position] ^= 0x10
    with pytest.raises(PngError):
        read_png(bytes(damaged), LIMIT)


def saved(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_orientation_is_carried_out_wherever_it_is_written():
    image = Image.fromarray(GREY)
    exif = Image.Exif()
    xmp, text, compressed = PngInfo(), PngInfo(), PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    exif[0x0112] = 6
    raw = exif.tobytes()
    digits = f"\nexif\n{len(raw):8}\n{raw.hex()}\n"
    text.add_text("Raw profile type exif", digits)
    compressed.add_text("Raw profile type exif", digits, zip=True)
    for options in ({"exif": exif}, {"pnginfo": xmp}, {"pnginfo": text}, {"pnginfo": compressed}):
        np.testing.assert_array_equal(read_png(saved(image, **options), LIMIT), np.rot90(GREY, 3))


def test_animations_are_refused():
    image = Image.fromarray(GREY)
    animation = saved(image, save_all=True, append_images=[image.rotate(90)])
    with pytest.raises(RadiographError, match="contains 2 images"):
        read_radiograph(animation)


PALETTE = chunk(b"PLTE", bytes(range(48 * 3)))
OTHER_KINDS = {
    "interlaced": (header(8, 6, interlaced=1), interlaced_rows(GREY[..., None], [1, 4], 1)),
    "palette": (header(8, 6, colour=3) + PALETTE, ROWS),
    "four grey levels": (header(8, 6, depth=2), filtered(GREY[:, :2], [0] * 6, 1)),
}


@pytest.mark.parametrize(("head", "rows"), OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_other_kinds_must_be_as_whole(head, rows):
    # Pillow reads most of these, and names the place of none.
    good = file_of(head, rows)
    assert read_radiograph(good).shape == (6, 8)
    stream = zlib.compress(rows, 1)
    faults = {
        file_of(head, rows[:-2]): "not enough image data",
        file_of(head, rows + b"\0"): "too long",
        file_of(head, b"\5" + rows[1:]): "row 0 has an unknown filter type",
        good + b"\0": "1 bytes after the IEND chunk",
        good[:-12]: "the file ends before the IEND chunk",
        good.replace(stream, stream[:-1] + b"\0"): "CRC mismatch in chunk 'IDAT'",
        good.replace(chunk(b"IDAT", stream), chunk(b"IDAT", stream + b"more")): "extra bytes after",
        good.replace(head[8:16], struct.pack(">II", 80, 80)): "CRC mismatch in chunk 'IHDR'",
    }  # fmt: skip
    for content, reason in faults.items():
        with pytest.raises(RadiographError, match=f"^it: is damaged: at byte \\d+: .*{reason}"):
            read_radiograph(content, "it")


def test_a_palette_must_be_whole_and_before_the_pixels():
    pixels = chunk(b"IDAT", zlib.compress(ROWS))
    head, end = SIGNATURE + header(8, 6, colour=3), chunk(b"IEND", b"")
    for content, reason in (
        (head + pixels + end, "no PLTE chunk before"),
        (head + pixels + PALETTE + end, "no PLTE chunk before"),
        (head + PALETTE + PALETTE + pixels + end, "PLTE chunk is invalid or out of order"),
        (head + chunk(b"PLTE", b"four") + pixels + end, "PLTE chunk is invalid or out of order"),
    ):
        with pytest.raises(PngError, match=reason):
            read_png(content, LIMIT)


@pytest.mark.parametrize(("depth", "colour"), [(3, 0), (4, 2), (16, 3), (8, 1), (0, 0)])
def test_kinds_that_do_not_exist_are_refused(depth, colour):
    with pytest.raises(
        PngError, match=f"bit depth {depth} is not allowed for colour type {colour}"
    ):
        read_png(file_of(header(8, 6, depth, colour), ROWS), LIMIT)


def test_without_deflate_zlib_reads_the_same(monkeypatch):
    monkeypatch.setattr(inflate, "deflate", None)
    np.testing.assert_array_equal(read_png(GOOD, LIMIT), GREY)
    for rows in (ROWS[:-9], ROWS + b"\0"):
        with pytest.raises(PngError):
            read_png(file_of(header(8, 6), rows), LIMIT)
    damaged = GOOD.replace(zlib.compress(ROWS, 1)[10:14], b"\0\0\0\0")
    with pytest.raises(PngError, match="CRC mismatch"):
        read_png(damaged, LIMIT)


def test_pngsuite():
    # http://www.schaik.com/pngsuite/: what it holds, libpng reads, save the files named x...
    if "PNGSUITE" not in os.environ:
        pytest.skip("PNGSUITE, the folder of PngSuite, is not set")
    paths = sorted(Path(os.environ["PNGSUITE"]).glob("*.png"))
    assert len(paths) == 175
    for path in paths:
        if path.name.startswith("x"):
            with pytest.raises(RadiographError):
                read_radiograph(path)
        else:
            expected = by_libpng(path.read_bytes())
            np.testing.assert_array_equal(read_radiograph(path), expected, strict=True)


def test_real_radiographs_are_read_as_pillow_does(real_data: Path):
    paths = sorted((real_data / "fracatlas").rglob("*.png"))
    assert len(paths) == 2198
    for path in paths:
        content = path.read_bytes()
        np.testing.assert_array_equal(read_png(content, LIMIT), by_pillow(content))


def test_every_real_format_of_eight_bits_is_read_as_pillow_does(real_data: Path):
    compared = 0
    for path in sorted((real_data / "formats").rglob("*.png")):
        try:
            with Image.open(path) as image:
                eight_bits = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
                expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB").convert("L"))
        except OSError:
            continue
        if eight_bits:
            compared += 1
            np.testing.assert_array_equal(read_radiograph(path), expected)
    assert compared >= 5
