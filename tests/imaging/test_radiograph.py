"""What is read from files, right and wrong."""

import csv
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mura_core.errors import RadiographError
from mura_core.imaging import Square, read_radiograph, resize
from mura_plugins import PluginError


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    rows, columns = np.mgrid[:40, :56]
    return ((rows * 5 + columns * 3) % 256).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_give_the_same_pixels(grey, kind, mode):
    content = encoded(Image.fromarray(grey).convert(mode), kind)
    np.testing.assert_array_equal(read_radiograph(content), grey)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_opacity_is_dropped_and_palettes_applied(grey, mode):
    image = Image.fromarray(grey).convert(mode)
    if mode == "P":
        # Index i means the level 255 - i: read raw, the image would come out inverted.
        image = Image.fromarray(255 - grey).convert("P")
        image.putpalette([255 - level for level in range(256) for _ in range(3)])
    np.testing.assert_array_equal(read_radiograph(encoded(image, "PNG")), grey)


def test_sixteen_bits_stay_sixteen_and_are_scaled_not_clipped(grey):
    sixteen = grey.astype(np.uint16) * 257
    read = read_radiograph(encoded(Image.fromarray(sixteen), "PNG"))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, sixteen)
    assert abs(resize(read, Square(28)).astype(int) - resize(grey, Square(28))).max() <= 1


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_carried_out(grey, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(grey), "PNG", exif=exif)
    np.testing.assert_array_equal(read_radiograph(content), np.rot90(grey, turn))


def test_every_truncation_is_refused(grey):
    content = encoded(Image.fromarray(grey), "PNG")
    for length in range(len(content)):
        with pytest.raises(RadiographError):
            read_radiograph(content[:length], "cut.png")


def test_a_wrong_checksum_is_refused(grey):
    content = bytearray(encoded(Image.fromarray(grey), "PNG"))
    content[content.index(b"IDAT") + 20] ^= 1
    with pytest.raises(RadiographError, match="CRC mismatch in chunk 'IDAT'"):
        read_radiograph(bytes(content), "flipped.png")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("width", "height"), [(9_000, 9_000), (10_000, 10_000), (60_000, 60_000)])
def test_decompression_bombs_are_refused_unread(width, height):
    with pytest.raises(RadiographError, match=f"has {width} x {height} pixels; the limit is"):
        read_radiograph(bomb(width, height), "bomb.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"These are not the pixels you are looking for.", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "is (damaged|not an image)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
    ],
)
def test_what_is_no_image_is_refused(content, reason):
    with pytest.raises(RadiographError, match=f"^odd: {reason}"):
        read_radiograph(content, "odd")


def test_several_frames_and_32_bits_are_refused(grey):
    frames = [Image.fromarray(grey)] * 3
    with pytest.raises(RadiographError, match="contains 3 images"):
        read_radiograph(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    with pytest.raises(RadiographError, match="32-bit"):
        read_radiograph(encoded(Image.fromarray(grey.astype(np.float32)), "TIFF"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RadiographError, match=r"gone\.png: does not exist"):
        read_radiograph(tmp_path / "gone.png")


def several_lines(_: Path) -> np.ndarray:
    raise PluginError("has 30 frames;\n\n  save each")


def test_a_plugins_reader_is_used_and_its_failure_reported(tmp_path):
    path = tmp_path / "scan.DCM"
    path.write_bytes(b"anything")
    pixels = np.ones((3, 4), np.uint8)
    assert read_radiograph(path, readers={".dcm": lambda _: pixels}) is pixels
    with pytest.raises(RadiographError, match="ZeroDivisionError"):
        read_radiograph(path, readers={".dcm": lambda _: 1 / 0})
    with pytest.raises(RadiographError, match=r"^\S+: has 30 frames; save each$"):
        read_radiograph(path, readers={".dcm": several_lines})
    with pytest.raises(RadiographError, match="float64"):
        read_radiograph(path, readers={".dcm": lambda _: np.ones((3, 4))})
    with pytest.raises(RadiographError, match=r"returned uint8 of shape \(0, 4\)"):
        read_radiograph(path, readers={".dcm": lambda _: np.ones((0, 4), np.uint8)})
    with pytest.raises(RadiographError, match="returned a NoneType, not an array"):
        read_radiograph(path, readers={".dcm": lambda _: None})


def test_real_formats(real_data: Path):
    formats = real_data / "formats"
    with (formats / "files.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 30
    reference = read_radiograph(formats / "converted" / "L.png").astype(int)
    for row in rows:
        path = formats / row["path"]
        if "TRUNCATED" in row["note"]:
            with pytest.raises(RadiographError):
                read_radiograph(path)
            continue
        image = read_radiograph(path)
        width, height = map(int, row["size_w_x_h"].split("x"))
        turned = "orientation 6" in row["note"] or "orientation 8" in row["note"]
        assert image.shape == ((width, height) if turned else (height, width)), row["path"]
        assert image.dtype == (np.uint16 if row["mode"] == "I;16" else np.uint8)
        if path.parent.name == "converted":
            expected = {"inverted.png": 255 - reference, "I16.png": reference * 257}
            # The two JPEGs are lossy.
            tolerance = 8 if path.suffix == ".jpg" else 0
            difference = image.astype(int) - expected.get(path.name, reference)
            assert abs(difference).max() <= tolerance, row["path"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("odd\nlines")])
def test_whatever_a_plugins_reader_raises_is_about_its_file(error, tmp_path, monkeypatch):
    def read(path):
        raise error

    # As in `mura-run`, where Ctrl-C raises something else.
    monkeypatch.setattr("mura_plugins.guard.signal.getsignal", lambda number: None)
    path = tmp_path / "a.raw"
    path.write_bytes(b"pixels")
    with pytest.raises(RadiographError, match=r"a\.raw: can't be read \((SystemExit: 3|Key|Val)"):
        read_radiograph(path, readers={".raw": read})
