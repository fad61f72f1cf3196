"""JPEG files: what Pillow reads, and refusals where Pillow fills in what is missing."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

ROWS, COLUMNS = np.mgrid[:64, :80]
GREY = (
    (ROWS * 3 + COLUMNS * 2 + np.random.default_rng(0).integers(0, 40, ROWS.shape)) % 256
).astype(np.uint8)
KINDS = {
    "grey": ("L", {}),
    "colour": ("RGB", {}),
    "progressive": ("L", {"progressive": True}),
    "progressive colour": ("RGB", {"progressive": True}),
    "restart markers": ("L", {"restart_marker_blocks": 3}),
    "optimised": ("L", {"optimize": True}),
    "CMYK": ("CMYK", {}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "stored as RGB": ("RGB", {"keep_rgb": True}),
}


def jpeg(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def colours() -> Image.Image:
    return Image.merge("RGB", [Image.fromarray(some) for some in (GREY, GREY[::-1], 255 - GREY)])


def good(kind: str) -> bytes:
    mode, options = KINDS[kind]
    image = Image.fromarray(GREY) if mode == "L" else colours().convert(mode)
    return jpeg(image, **options)


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB").convert("L"))


@pytest.mark.parametrize("kind", KINDS)
def test_good_files_have_pillows_pixels(kind):
    content = good(kind)
    np.testing.assert_array_equal(read_radiograph(content), by_pillow(content))


def scan_of(content: bytes) -> int:
    """Return where the data of the first scan starts."""
    at = content.index(b"\xff\xda")
    return at + 2 + struct.unpack_from(">H", content, at + 2)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_and_closed_is_refused(kind):
    content = good(kind)
    start = scan_of(content)
    for cut in range(start, len(content) - 8):
        with pytest.raises(RadiographError, match=r"^it: is (damaged|truncated)"):
            read_radiograph(content[:cut] + b"\xff\xd9", "it")


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_refused(kind):
    content = good(kind)
    for length in range(len(content)):
        with pytest.raises(RadiographError):
            read_radiograph(content[:length])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.floats(0, 0.9), st.integers(30, 300))
def test_no_image_with_lost_bytes_has_grey_rows(kind, where, count):
    content = good(kind)
    start = scan_of(content)
    at = start + int(where * (len(content) - start))
    damaged = content[:at] + content[min(at + count, len(content) - 2) :]
    # libjpeg fills what is missing with one level; noise never has whole rows of one, unless they
    # are saturated.
    try:
        read = read_radiograph(damaged)
    except RadiographError:
        return
    last = read[-8:].astype(int)
    assert not (np.ptp(last, axis=1) == 0).all() or set(np.unique(last)) <= {0, 255}


def test_what_real_files_have_is_no_damage():
    content = good("grey")
    expected = by_pillow(content)
    thumbnail = jpeg(Image.fromarray(GREY).resize((16, 16)))
    exif = Image.Exif()
    exif[0x0132] = "2026:01:01 00:00:00"
    with_exif = jpeg(Image.fromarray(GREY), exif=exif.tobytes() + thumbnail)
    odd_exif = jpeg(Image.fromarray(GREY), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    phone = bytearray(content)
    phone[scan_of(content) - 3 : scan_of(content)] = b"\0\0\0"  # the scan's parameters
    comment = struct.pack(">2sH", b"\xff\xfe", 9) + b"a scan\xff"
    for good_file in (
        with_exif,
        odd_exif,
        content + b"trailing bytes\xff\xd8",
        content + content,
        content[:-2] + b"\xff\xff\xff\xff\xd9",  # fill bytes
        content[:2] + b"\xff\xff" + content[2:],
        content[:-2] + bytes(20) + b"\xff\xd9",  # padding
        content[:2] + b"\xff" * 2_000_000 + content[2:],
        content[:2] + comment + content[2:],
        bytes(phone),
    ):
        np.testing.assert_array_equal(read_radiograph(good_file), expected)


def test_components_may_share_an_identifier():
    content = bytearray(good("colour"))
    expected = by_pillow(bytes(content))
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    for place in (frame + 10, scan + 5):
        step = 3 if place < scan else 2
        for number in range(3):
            assert content[place + step * number] == number + 1
            content[place + step * number] = 7
    np.testing.assert_array_equal(by_pillow(bytes(content)), expected)
    np.testing.assert_array_equal(read_radiograph(bytes(content)), expected)


def test_data_that_end_in_zero_bytes_are_whole():
    # Encoders fill the last byte with ones or with zeros, so it may be 0.
    random = np.random.default_rng(3)
    ending_in_zero = 0
    for _ in range(200):
        content = jpeg(Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)))
        if content[-3] not in (0x01, 0x03, 0x07, 0x0F, 0x1F, 0x3F, 0x7F):
            continue
        zeroed = content[:-3] + b"\0\xff\xd9"
        expected = by_pillow(zeroed)
        if (expected == by_pillow(content)).all():
            ending_in_zero += 1
            np.testing.assert_array_equal(read_radiograph(zeroed), expected)
            padded = zeroed[:-2] + bytes(30) + b"\xff\xd9"
            np.testing.assert_array_equal(read_radiograph(padded), expected)
    assert ending_in_zero > 3


def test_the_first_image_of_a_phones_file_is_read():
    file = io.BytesIO()
    images = [Image.fromarray(some) for some in (GREY, 255 - GREY)]
    images[0].save(file, "MPO", save_all=True, append_images=images[1:], quality=90)
    np.testing.assert_array_equal(read_radiograph(file.getvalue()), by_pillow(file.getvalue()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_carried_out_as_by_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = jpeg(Image.fromarray(GREY), exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_radiograph(content), expected)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x><tiff:Orientation>%d</tiff:Orientation></x>"
    body = xmp % orientation
    segment = struct.pack(">2sH", b"\xff\xe1", len(body) + 2) + body
    plain = jpeg(Image.fromarray(GREY))
    read = read_radiograph(plain[:2] + segment + plain[2:])
    np.testing.assert_array_equal(read, expected)


def test_an_orientation_of_the_wrong_type_is_none():
    exif = struct.pack("<4sIHHHI4sI", b"II*\0", 8, 1, 0x0112, 2, 4, b"six\0", 0)
    content = jpeg(Image.fromarray(GREY), exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(read_radiograph(content), by_pillow(jpeg(Image.fromarray(GREY))))


def test_large_and_odd_files_are_refused_unread():
    content = bytearray(good("grey"))
    frame = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, frame + 5, 60_000, 60_000)
    with pytest.raises(
        RadiographError, match="60000 x 60000 pixels; the limit is 30,000 pixels per side"
    ):
        read_radiograph(bytes(content))
    content[frame + 4] = 12
    with pytest.raises(RadiographError, match="has 12-bit JPEG data; save it as 16-bit PNG"):
        read_radiograph(bytes(content))


def test_real_jpegs_are_read_as_pillow_does(real_data: Path):
    read = 0
    for path in sorted((real_data / "formats").rglob("*.jpg")):
        if "truncated" in path.name:
            with pytest.raises(RadiographError, match=r"is (damaged or )?truncated"):
                read_radiograph(path)
            continue
        read += 1
        with Image.open(path) as image:
            expected = ImageOps.exif_transpose(image).convert("RGB").convert("L")
        np.testing.assert_array_equal(read_radiograph(path), np.asarray(expected))
    assert read > 15
