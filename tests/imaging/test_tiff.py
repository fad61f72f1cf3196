"""TIFF files: what tifffile wrote, and refusals of what isn't whole."""

import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (37, 53), dtype=np.uint8)


def tiff(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


def luma(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., channel].astype(np.uint64) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(colours.dtype)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_lossless_kinds_have_the_pixels_that_tifffile_wrote(data):
    draw = data.draw
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    channels = draw(st.sampled_from([1, 2, 3, 4]))
    shape = (draw(st.integers(1, 50)), draw(st.integers(1, 50)), channels)
    seed = draw(st.integers(0, 10**6))
    samples = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    compression = draw(st.sampled_from([None, "lzw", "deflate", "packbits", "zstd", "lzma"]))
    grey = draw(st.sampled_from(["minisblack", "miniswhite"]))
    layout = draw(st.sampled_from([{}, {"tile": (16, 32)}, {"rowsperstrip": 3}]))
    options = {
        "compression": compression,
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "predictor": compression in ("lzw", "deflate") and draw(st.booleans()),
        "photometric": "rgb" if channels > 2 else grey,
        "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
    }
    stored = samples[..., 0] if channels == 1 else samples
    if channels > 1:
        options["planarconfig"] = draw(st.sampled_from(["contig", "separate"]))
        if options["planarconfig"] == "separate":
            stored = np.moveaxis(samples, 2, 0).copy()
    expected = luma(samples) if channels > 2 else samples[..., 0]
    if options["photometric"] == "miniswhite":
        expected = np.iinfo(dtype).max - expected
    read = read_radiograph(tiff(stored, **options, **layout))
    np.testing.assert_array_equal(read, expected, strict=True)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("bits", [*range(1, 8), *range(9, 16)])
def test_every_bit_depth_spans_the_levels(bits, photometric):
    highest, full = 2**bits - 1, 255 if bits < 8 else 65535
    samples = RANDOM.integers(0, highest + 1, (20, 31)).astype(np.uint8 if bits < 8 else np.uint16)
    samples[0, :2] = 0, highest
    read = read_radiograph(tiff(samples, bitspersample=bits, photometric=photometric))
    expected = np.rint(samples * (full / highest))
    if photometric == "miniswhite":
        expected = full - expected
    np.testing.assert_array_equal(read, expected)
    assert read.dtype == (np.uint8 if bits < 8 else np.uint16)
    assert (read.min(), read.max()) == (0, full)


def with_tag(samples: np.ndarray, tag: int, value: int, **options) -> bytes:
    return tiff(samples, extratags=[(tag, 3, 1, value, True)], **options)


def test_a_bit_depth_that_the_file_declares_is_used():
    # By hand: 0, 1, 2048 and 4095 of 12 bits are 0, 16.004, 32775.5 and 65535 of 16.
    samples = np.array([[0, 1], [2048, 4095]], np.uint16)
    read = read_radiograph(with_tag(samples, 281, 4095))
    np.testing.assert_array_equal(read, [[0, 16], [32776, 65535]])
    inverted = read_radiograph(with_tag(samples, 281, 4095, photometric="miniswhite"))
    np.testing.assert_array_equal(inverted, [[65535, 65519], [32759, 0]])
    # A maximum of the image, or one that isn't true, is no bit depth.
    for value in (4000, 2047, 65535):
        np.testing.assert_array_equal(read_radiograph(with_tag(samples, 281, value)), samples)


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_palettes_are_applied(scale):
    colours = RANDOM.integers(0, 256, (3, 256))
    read = read_radiograph(
        tiff(GREY, photometric="palette", colormap=(colours * scale).astype(np.uint16))
    )
    expected = luma(colours.T.astype(np.uint8)[None])[0][GREY]
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("compression", ["jpeg", "raw", "tiff_lzw"])
def test_pixels_are_those_of_libtiff(mode, compression):
    smooth = np.add.outer(np.arange(48), 2 * np.arange(64)).astype(np.uint8)
    image = Image.merge(
        "RGB", [Image.fromarray(some) for some in (smooth, smooth[::-1], 255 - smooth)]
    )
    file = io.BytesIO()
    image.convert(mode).save(file, "TIFF", compression=compression)
    with Image.open(file) as opened:
        expected = np.asarray(opened.convert("RGB").convert("L"))
    read = read_radiograph(file.getvalue())
    assert np.abs(read.astype(int) - expected).max() <= (1 if mode == "YCbCr" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_carried_out(orientation):
    turned = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T,
        6: GREY[::-1].T, 7: GREY[::-1, ::-1].T, 8: GREY.T[::-1],
    }  # fmt: skip
    read = read_radiograph(with_tag(GREY, 274, orientation))
    np.testing.assert_array_equal(read, turned[orientation])


@pytest.mark.parametrize("kind", [1, 7])
def test_orientation_in_xmp_is_carried_out(kind):
    xmp = b"<rdf:RDF><tiff:Orientation>6</tiff:Orientation></rdf:RDF>".ljust(90)
    content = tiff(GREY, extratags=[(700, kind, len(xmp), xmp, True)])
    np.testing.assert_array_equal(read_radiograph(content), GREY[::-1].T)


KINDS = {
    f"{compression} {'tiles' if 'tile' in layout else 'strips'}": tiff(
        GREY, compression=compression, **layout
    )
    for compression in (None, "lzw", "deflate", "packbits", "zstd", "lzma", "jpeg")
    for layout in ({"tile": (16, 16)}, {"rowsperstrip": 8})
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_truncated_file_is_read(kind):
    content = KINDS[kind]
    assert read_radiograph(content).shape == GREY.shape
    for length in range(0, len(content), 5):
        with pytest.raises(RadiographError):
            read_radiograph(content[:length])


def entries(content: bytes) -> dict[int, int]:
    """Return where the values of each tag are."""
    (at,) = struct.unpack_from("<I", content, 4)
    found = {}
    for entry in range(struct.unpack_from("<H", content, at)[0]):
        where = at + 2 + 12 * entry
        tag, kind, count = struct.unpack_from("<HHI", content, where)
        size = {2: 1, 3: 2, 4: 4, 5: 8}.get(kind, 1) * count
        found[tag] = where + 8 if size <= 4 else struct.unpack_from("<I", content, where + 8)[0]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_strip_or_tile_that_is_missing_or_short_is_refused(kind):
    content = KINDS[kind]
    places = entries(content)
    offsets, sizes = (324, 325) if "tiles" in kind else (273, 279)
    short = "H" if tifffile.TiffFile(io.BytesIO(content)).pages[0].tags[sizes].dtype == 3 else "I"
    (size,) = struct.unpack_from(f"<{short}", content, places[sizes])
    for tag, letter, value in (
        (offsets, "I", 0),
        (offsets, "I", len(content) - 3),
        (sizes, short, 0),
        (sizes, short, size - 5),
        (sizes, short, size // 2),
    ):
        damaged = bytearray(content)
        struct.pack_into(f"<{letter}", damaged, places[tag], value)
        with pytest.raises(RadiographError, match=r"^it: is damaged or truncated"):
            read_radiograph(bytes(damaged), "it")


def test_a_broken_second_directory_and_several_images_are_refused():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(3):
            writer.write(GREY, metadata=None)
    content = file.getvalue()
    with pytest.raises(RadiographError, match="contains 3 images; save each in a separate file"):
        read_radiograph(content)
    single = bytearray(tiff(GREY))
    (at,) = struct.unpack_from("<I", single, 4)
    following = at + 2 + 12 * struct.unpack_from("<H", single, at)[0]
    for where, reason in (
        (len(single) - 1, "its TIFF directory is cut off"),
        (at, "form a circle"),
    ):
        struct.pack_into("<I", single, following, where)
        with pytest.raises(RadiographError, match=reason):
            read_radiograph(bytes(single))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(GREY.astype(np.float32)), "has 32-bit floating-point pixels; save it with 16-bit"),
        (tiff(GREY.astype(np.uint32)), "has 32-bit pixels; save it with 16-bit"),
        (tiff(GREY.astype(np.int16)), "has 16-bit signed pixels; save it with 16-bit unsigned"),
        (tiff(GREY, photometric="cfa"), "photometric interpretation 32803, which isn't supported"),
        (tiff(GREY, compression="jpeg2000"), "has TIFF compression 34712, .* save it with Deflate"),
        (b"II*\0", "is damaged or truncated: its TIFF header is cut off"),
        (tiff(GREY)[:2] + b"*\0\xff\xff\xff\xff", "is damaged or truncated"),
    ],
)
def test_what_is_not_supported_is_named(content, reason):
    with pytest.raises(RadiographError, match=reason):
        read_radiograph(content)


def test_tags_of_the_wrong_type_and_absurd_sizes_are_refused():
    content = tiff(GREY)
    (at,) = struct.unpack_from("<I", content, 4)
    entry = content.index(struct.pack("<HH", 257, 4), at)
    for kind in (5, 11, 12, 99):
        damaged = bytearray(content)
        struct.pack_into("<H", damaged, entry + 2, kind)
        with pytest.raises(RadiographError, match="is damaged: its TIFF tag 257 holds no integers"):
            read_radiograph(bytes(damaged))
    for count, value in ((2**31, 8), (1, 0)):
        damaged = bytearray(content)
        struct.pack_into("<II", damaged, entry + 4, count, value)
        with pytest.raises(RadiographError, match="is damaged"):
            read_radiograph(bytes(damaged))
    large = bytearray(content)
    for tag in (256, 257):
        entry = content.index(struct.pack("<HH", tag, 4), at)
        struct.pack_into("<HII", large, entry + 2, 4, 1, 60_000)
    with pytest.raises(RadiographError, match="has 60000 x 60000 pixels; the limit is "):
        read_radiograph(bytes(large))
