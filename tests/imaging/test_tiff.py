"""TIFF files: what our own writer of the tests wrote, and refusals of what isn't whole."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiff_writer import (
    DEFLATE,
    JPEG,
    LONG,
    LZMA,
    LZW,
    NONE,
    OLD_DEFLATE,
    PACKBITS,
    SHORT,
    ZSTD,
    entries,
    tiff,
    tiff_file,
)

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (37, 53), dtype=np.uint8)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
PREDICTABLE = (LZW, DEFLATE, OLD_DEFLATE, LZMA, ZSTD)


def luma(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., channel].astype(np.uint64) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(colours.dtype)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_lossless_kinds_have_the_pixels_that_were_written(data):
    draw = data.draw
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    channels = draw(st.sampled_from([1, 2, 3, 4]))
    shape = (draw(st.integers(1, 50)), draw(st.integers(1, 50)), channels)
    seed = draw(st.integers(0, 10**6))
    samples = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    compression = draw(st.sampled_from([NONE, PACKBITS, *PREDICTABLE]))
    grey = draw(st.sampled_from([WHITE_IS_ZERO, BLACK_IS_ZERO]))
    content = tiff(
        samples,
        photometric=RGB if channels > 2 else grey,
        compression=compression,
        predictor=draw(st.sampled_from([1, 2])) if compression in PREDICTABLE else 1,
        planar=draw(st.booleans()),
        order=draw(st.sampled_from("<>")),
        is_big=draw(st.booleans()),
        tags={338: (SHORT, [2])} if channels in (2, 4) else {},
        **draw(st.sampled_from([{}, {"tile": (16, 32)}, {"rows": 3}])),
    )
    expected = luma(samples) if channels > 2 else samples[..., 0]
    if channels < 3 and grey == WHITE_IS_ZERO:
        expected = np.iinfo(dtype).max - expected
    np.testing.assert_array_equal(read_radiograph(content), expected, strict=True)


@pytest.mark.parametrize("compression", [NONE, PACKBITS, *PREDICTABLE])
def test_the_tests_write_what_libtiff_reads(compression):
    for options in ({}, {"rows": 3}, {"tile": (16, 32), "order": ">", "is_big": True}):
        for predictor in (1, 2) if compression in PREDICTABLE else (1,):
            wide = GREY * np.uint16(257) ^ np.uint16(90)
            for samples in (GREY, wide):
                content = tiff(samples, compression=compression, predictor=predictor, **options)
                np.testing.assert_array_equal(imagecodecs.tiff_decode(content), samples)


@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, WHITE_IS_ZERO])
@pytest.mark.parametrize("bits", [*range(1, 8), *range(9, 16)])
def test_every_bit_depth_spans_the_levels(bits, photometric):
    highest, full = 2**bits - 1, 255 if bits < 8 else 65535
    samples = RANDOM.integers(0, highest + 1, (20, 31)).astype(np.uint8 if bits < 8 else np.uint16)
    samples[0, :2] = 0, highest
    expected = np.rint(samples * (full / highest))
    if photometric == WHITE_IS_ZERO:
        expected = full - expected
    for options in ({"rows": 7}, {"tile": (16, 16), "compression": LZW, "order": ">"}):
        read = read_radiograph(tiff(samples, bits=bits, photometric=photometric, **options))
        np.testing.assert_array_equal(read, expected)
        assert read.dtype == (np.uint8 if bits < 8 else np.uint16)
        assert (read.min(), read.max()) == (0, full)


def test_a_bit_depth_that_the_file_declares_is_used():
    # By hand: 0, 1, 2048 and 4095 of 12 bits are 0, 16.004, 32775.5 and 65535 of 16.
    samples = np.array([[0, 1], [2048, 4095]], np.uint16)
    declared = {281: (SHORT, [4095])}
    read = read_radiograph(tiff(samples, tags=declared))
    np.testing.assert_array_equal(read, [[0, 16], [32776, 65535]])
    inverted = read_radiograph(tiff(samples, tags=declared, photometric=WHITE_IS_ZERO))
    np.testing.assert_array_equal(inverted, [[65535, 65519], [32759, 0]])
    # A maximum of the image, or one that isn't true, is no bit depth.
    for value in (4000, 2047, 65535):
        read = read_radiograph(tiff(samples, tags={281: (SHORT, [value])}))
        np.testing.assert_array_equal(read, samples)


def test_bits_in_reverse_order_are_turned_round():
    reversed_bits = np.array([int(f"{level:08b}"[::-1], 2) for level in range(256)], np.uint8)
    content = tiff(reversed_bits[GREY], tags={266: (SHORT, [2])})
    np.testing.assert_array_equal(read_radiograph(content), GREY)


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_palettes_are_applied(scale):
    colours = RANDOM.integers(0, 256, (3, 256))
    held = (colours * scale).ravel().tolist()
    read = read_radiograph(tiff(GREY, photometric=PALETTE, tags={320: (SHORT, held)}))
    expected = luma(colours.T.astype(np.uint8)[None])[0][GREY]
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("compression", ["jpeg", "raw", "tiff_lzw", "tiff_adobe_deflate"])
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
    read = read_radiograph(tiff(GREY, tags={274: (SHORT, [orientation])}))
    np.testing.assert_array_equal(read, turned[orientation])


@pytest.mark.parametrize("kind", [1, 7])
def test_orientation_in_xmp_is_carried_out(kind):
    xmp = b"<rdf:RDF><tiff:Orientation>6</tiff:Orientation></rdf:RDF>".ljust(90)
    content = tiff(GREY, tags={700: (kind, xmp)})
    np.testing.assert_array_equal(read_radiograph(content), GREY[::-1].T)


@pytest.mark.parametrize(
    "tags",
    [
        {33628: (LONG, [3] * 40), 33629: (5, [1] * 80)},  # STK
        {34412: (1, [0] * 90)},  # LSM
        {65420: (LONG, [1]), 65426: (LONG, [9, 10])},  # NDPI
        {50838: (LONG, [12, 4]), 50839: (1, b"IJIJinfo\0\0\0\1abcd")},  # ImageJ
        {270: (2, b"SCANIMAGE.SI=1"), 305: (2, b"SI.1"), 42113: (2, b"nodata")},
        {32997: (LONG, [5])},  # depth
        {282: (5, [0, 0]), 330: (LONG, [1]), 34665: (LONG, [2**31])},
    ],
)
def test_tags_of_other_software_change_nothing(tags):
    np.testing.assert_array_equal(read_radiograph(tiff(GREY, tags=tags)), GREY)


KINDS = {
    f"{name} {'tiles' if 'tile' in layout else 'strips'}": tiff(
        GREY, compression=compression, **layout
    )
    for name, compression in (
        ("raw", NONE), ("lzw", LZW), ("deflate", DEFLATE), ("packbits", PACKBITS), ("zstd", ZSTD),
        ("lzma", LZMA), ("jpeg", JPEG),
    )
    for layout in ({"tile": (16, 16)}, {"rows": 8})
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_truncated_file_is_read(kind):
    content = KINDS[kind]
    assert read_radiograph(content).shape == GREY.shape
    for length in range(0, len(content), 5):
        with pytest.raises(RadiographError):
            read_radiograph(content[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_a_strip_or_tile_that_is_missing_or_short_is_refused(kind):
    content = KINDS[kind]
    places = entries(content)
    offsets, sizes = (
        struct.unpack_from("<I", content, places[tag] + 8)[0]
        for tag in ((324, 325) if "tiles" in kind else (273, 279))
    )
    (size,) = struct.unpack_from("<I", content, sizes)
    wrong = [(offsets, 0), (offsets, len(content) - 3)]
    wrong += [(sizes, value) for value in (0, size - 5, size // 2)]
    for where, value in wrong:
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, where, value)
        with pytest.raises(RadiographError, match=r"^it: is damaged or truncated"):
            read_radiograph(bytes(damaged), "it")


@pytest.mark.parametrize("compression", [DEFLATE, LZMA])
def test_a_damaged_byte_is_found_by_the_checksum(compression):
    content = tiff(GREY, compression=compression)
    for at in range(8, len(content) - 200, 97):
        damaged = bytearray(content)
        damaged[at] ^= 8
        with pytest.raises(RadiographError, match="strip 0 can't be decoded to exactly its pixels"):
            read_radiograph(bytes(damaged))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({273: (LONG, [0, 100]), 279: (LONG, [1961, 5])}, "has 2 offsets and 2 sizes of 1 strips"),
        ({278: (LONG, [20])}, "has 1 offsets and 1 sizes of 2 strips"),
        ({278: (LONG, [20]), 273: (LONG, [0, 8]), 279: (LONG, [1060, 901])}, "its strips overlap"),
        ({322: (LONG, [16]), 323: (LONG, [16])}, "has 1 offsets and 1 sizes of 12 tiles"),
        ({322: (LONG, [64]), 323: (LONG, [48])}, "tile 0 can't be decoded to exactly its pixels"),
        ({278: (LONG, [0])}, "its strips or tiles have no size"),
        ({258: None}, "it has no TIFF tag 258"),
        *(
            ({258: (SHORT, [bits])}, "strip 0 can't be decoded to exactly its pixels")
            for bits in (1, 4, 7, 9, 16)
        ),
        ({258: (SHORT, [8] * 2000)}, "its TIFF tag 258 holds 2,000 numbers"),
        ({284: (SHORT, [3])}, "it has 1 samples per pixel and planes of kind 3"),
        ({256: (SHORT, [53, 53])}, "its TIFF tag 256 holds 2 numbers"),
        ({258: (SHORT, [])}, "its TIFF tag 258 holds no integers"),
        # Programs disagree whether it counts without compression.
        ({317: (SHORT, [2])}, "has TIFF predictor 2, which isn't supported"),
    ],
)
def test_tags_that_do_not_fit_the_strips_are_refused(tags, reason):
    with pytest.raises(RadiographError, match=reason):
        read_radiograph(tiff(GREY, tags=tags))


@pytest.mark.parametrize("compression", [NONE, PACKBITS, *PREDICTABLE])
@pytest.mark.parametrize("bits", range(1, 17))
def test_a_wrong_bit_depth_is_noticed(bits, compression):
    samples = RANDOM.integers(0, 2**bits, (9, 40)).astype(np.uint16)
    for wrong in set(range(1, 17)) - {bits}:
        content = tiff(samples, bits=bits, compression=compression, tags={258: (SHORT, [wrong])})
        with pytest.raises(RadiographError, match="strip 0 can't be decoded to exactly its pixels"):
            read_radiograph(content)


@pytest.mark.parametrize("compression", [NONE, PACKBITS, JPEG, *PREDICTABLE])
def test_a_wrong_width_or_height_is_noticed(compression):
    for tag, wrong in ((256, 52), (256, 54), (256, 1), (257, 36), (257, 38)):
        tags = {tag: (LONG, [wrong]), 278: (LONG, [99])}
        with pytest.raises(RadiographError, match="strip 0 can't be decoded to exactly its pixels"):
            read_radiograph(tiff(GREY, compression=compression, tags=tags))


@pytest.mark.parametrize("compression", [NONE, PACKBITS, JPEG, *PREDICTABLE])
def test_a_last_strip_of_all_rows_is_read(compression):
    padded = np.pad(GREY, ((0, 3), (0, 0)))
    content = tiff(padded, compression=compression, rows=8, tags={257: (LONG, [37])})
    expected = read_radiograph(tiff(padded, compression=compression, rows=8))[:37]
    np.testing.assert_array_equal(read_radiograph(content), expected)


def test_tiles_with_the_tags_of_strips_are_read():
    tiles = tiff(GREY, tile=(64, 64), compression=DEFLATE)
    content = bytearray(tiles)
    for tag, instead in ((324, 273), (325, 279)):
        struct.pack_into("<H", content, entries(tiles)[tag], instead)
    np.testing.assert_array_equal(read_radiograph(bytes(content)), GREY)


def test_a_single_strip_without_size_ends_with_the_file():
    np.testing.assert_array_equal(read_radiograph(tiff(GREY, tags={279: None})), GREY)


def test_several_images_are_refused():
    file = io.BytesIO()
    image = Image.fromarray(GREY)
    image.save(file, "TIFF", save_all=True, append_images=[image, image])
    with pytest.raises(RadiographError, match="contains 3 images; save each in a separate file"):
        read_radiograph(file.getvalue())


def kind_of(bits: int, sample_format: int = 1, photometric: int = 1, compression: int = 1) -> bytes:
    tags = {
        256: (LONG, [8]), 257: (LONG, [8]), 258: (SHORT, [bits]), 259: (SHORT, [compression]),
        262: (SHORT, [photometric]), 273: (LONG, [0]), 277: (SHORT, [1]), 278: (LONG, [8]),
        279: (LONG, [512]), 339: (SHORT, [sample_format]),
    }  # fmt: skip
    return tiff_file(tags, bytes(512))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (kind_of(32, sample_format=3), "has 32-bit floating-point pixels; save it with 16-bit"),
        (kind_of(32), "has 32-bit pixels; save it with 16-bit"),
        (kind_of(16, sample_format=2), "has 16-bit signed pixels; save it with 16-bit unsigned"),
        (kind_of(8, photometric=32803), "photometric interpretation 32803, which isn't supported"),
        (kind_of(8, compression=34712), "has TIFF compression 34712, .* save it with Deflate"),
        *(
            (kind_of(1, compression=ccitt), f"has TIFF compression {ccitt}, .* with Deflate")
            for ccitt in (2, 3, 4)
        ),
        (b"II*\0", "is damaged or truncated: its TIFF header is cut off"),
        (b"II*\0\xff\xff\xff\xff", "is damaged or truncated: its TIFF directory is cut off"),
        (
            b"II+\0\x08\0\0\0" + b"\xff" * 8,
            "is damaged or truncated: its TIFF directory is cut off",
        ),
    ],
)
def test_what_is_not_supported_is_named(content, reason):
    with pytest.raises(RadiographError, match=reason):
        read_radiograph(content)


def test_tags_of_the_wrong_type_and_absurd_sizes_are_refused():
    content = tiff(GREY)
    entry = entries(content)[257]
    for kind in (1, 5, 11, 12, 99):
        damaged = bytearray(content)
        struct.pack_into("<H", damaged, entry + 2, kind)
        with pytest.raises(RadiographError, match="is damaged: its TIFF tag 257 holds no integers"):
            read_radiograph(bytes(damaged))
    for tag, count in ((258, 2**31), (273, 2**18), (257, 0)):
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, entries(content)[tag] + 4, count)
        with pytest.raises(RadiographError, match="is damaged"):
            read_radiograph(bytes(damaged))
    large = tiff(GREY, tags={256: (LONG, [60_000]), 257: (LONG, [60_000])})
    with pytest.raises(RadiographError, match="has 60000 x 60000 pixels; the limit is "):
        read_radiograph(large)
