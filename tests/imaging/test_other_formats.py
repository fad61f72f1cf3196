"""WebP and BMP files, and files that hold no image at all."""

import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

GREY = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FILES = {
    "lossy WebP": encoded(Image.fromarray(GREY), "WEBP"),
    "lossless WebP": encoded(Image.fromarray(GREY), "WEBP", lossless=True),
    "WebP with alpha": encoded(Image.fromarray(GREY).convert("RGBA"), "WEBP", exif=b"Exif\0\0"),
    "grey BMP": encoded(Image.fromarray(GREY), "BMP"),
    "colour BMP": encoded(Image.fromarray(GREY).convert("RGB"), "BMP"),
    "BMP of 1 bit": encoded(Image.fromarray(GREY > 99), "BMP"),
}


@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_those_of_pillow_and_no_truncated_file_is_read(kind):
    content = FILES[kind]
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB").convert("L"))
    np.testing.assert_array_equal(read_radiograph(content), expected)
    # The last bytes of a BMP file pad its last row.
    for length in range(0, len(content) - 3, 3):
        with pytest.raises(RadiographError):
            read_radiograph(content[:length])


@pytest.mark.parametrize("kind", ["lossy WebP", "lossless WebP"])
def test_a_cut_webp_file_with_a_right_length_is_refused(kind):
    content = FILES[kind]
    for length in range(40, len(content) - 8, 12):
        cut = bytearray(content[:length])
        struct.pack_into("<I", cut, 4, length - 8)
        struct.pack_into("<I", cut, 16, length - 20)
        with pytest.raises(RadiographError):
            read_radiograph(bytes(cut))


def test_a_webp_files_orientation_is_carried_out_and_animations_are_refused():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(GREY), "WEBP", lossless=True, exif=exif)
    np.testing.assert_array_equal(read_radiograph(content), np.rot90(GREY, 3))
    images = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    animation = encoded(images[0], "WEBP", save_all=True, append_images=images[1:])
    with pytest.raises(RadiographError, match="contains 2 images; save each in a separate file"):
        read_radiograph(animation)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [10_000, 16_000])
def test_absurd_sizes_are_refused_unread_without_a_warning(side):
    bmp = bytearray(FILES["grey BMP"])
    struct.pack_into("<ii", bmp, 18, side, side)
    webp = bytearray(encoded(Image.fromarray(GREY), "WEBP", lossless=True, exif=b"Exif\0\0MM"))
    webp[24:30] = 2 * (side - 1).to_bytes(3, "little")
    for content in (bmp, webp):
        with pytest.raises(RadiographError, match=f"has {side} x {side} pixels; the limit is"):
            read_radiograph(bytes(content))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("image1.png", b"pixels")
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
NOT_AN_IMAGE = {
    LFS: "is a Git LFS pointer: run git lfs pull",
    b"/annex/objects/SHA256E-s1048576--0a1b2c.png\n": "is a git-annex pointer: run git annex get",
    b"../../.git/annex/objects/Xk/mG/SHA256E-s5--ab.png/SHA256E-s5--ab.png": "is a git-annex",
    b"<!DOCTYPE html>\n<html><body>404</body></html>": "is an HTML page, not an image",
    b"\xef\xbb\xbf\n <HTML lang=en>": "is an HTML page, not an image",
    b"<!-- saved from url --><html>": "is an HTML page, not an image",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "is an XML document",
    b"<Error><Code>NoSuchKey</Code></Error>": "is an XML document, not an image",
    b'{"message": "Not Found"}': "is JSON, not an image",
    b'\n[{"error": 403}]\n': "is JSON, not an image",
    b"%PDF-1.7\n%\xe2\xe3": "is a PDF document",
    archive(): "is a ZIP archive",
    b"\x1f\x8b\x08\0": "is a gzip archive",
    b"GIF89a": "is a GIF image; save it as PNG",
    b"\0\0\0\x18ftypheic": "is a HEIC or AVIF image",
    bytes(128) + b"DICM" + bytes(20): r"is DICOM; to read it: pip install 'mura-run\[dicom\]'",
    bytes(5000): r"holds only zeros \(5000 bytes\); copy or download it again",
    b"\x89PNG\n\x1a\n": "is damaged: its PNG signature was changed",
    b"Quota exceeded\n": "is not an image, but text",
    bytes(range(128, 256)): r"is not an image of a supported format \(PNG, JPEG, BMP, TIFF, WEBP\)",
}


@pytest.mark.parametrize("content", NOT_AN_IMAGE, ids=NOT_AN_IMAGE.values())
def test_what_is_no_image_is_called_what_it_is(content, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(RadiographError, match=rf"image\.png: {NOT_AN_IMAGE[content]}"):
        read_radiograph(path)


def test_dicom_is_read_from_files_under_any_name(tmp_path):
    content, readers = bytes(128) + b"DICM", {(128, b"DICM"): lambda path: GREY}
    path = tmp_path / "image.png"
    path.write_bytes(content)
    assert read_radiograph(path, readers=readers) is GREY
    with pytest.raises(RadiographError, match="is DICOM; to read it: give its path instead"):
        read_radiograph(content, readers=readers)


def test_an_unfetched_file_of_git_annex_is_called_so(tmp_path):
    path = tmp_path / "image.png"
    path.symlink_to("../.git/annex/objects/Xk/mG/SHA256E-s5--ab.png/SHA256E-s5--ab.png")
    with pytest.raises(RadiographError, match="is a git-annex pointer: run git annex get"):
        read_radiograph(path)
    (tmp_path / "other.png").symlink_to("nowhere.png")
    with pytest.raises(RadiographError, match="does not exist"):
        read_radiograph(tmp_path / "other.png")
