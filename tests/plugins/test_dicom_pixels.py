"""The grey levels of DICOM files, against pixels worked out by hand from PS3.3."""

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dataset_of, lut, write, write_radiograph
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mura_plugins.dicom import mura_readers
from mura_plugins.dicom.grey_levels import grey_levels
from mura_plugins.dicom.reader import read
from mura_plugins.testing import check_reader

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of an empty value

WHITE = 65535


def levels(tmp_path: Path, pixels, dtype: str = "u2", window=None, **elements) -> list:
    image = read(write_radiograph(tmp_path / "a.dcm", pixels, dtype, **elements), window=window)
    assert image.dtype == np.uint16
    return image.tolist()


# The range of values, where the file names no window ---------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "stored", "pixels", "expected"),
    [
        ("u1", 8, [[0, 51, 255]], [[0, 13107, 65535]]),
        ("u1", 8, [[10, 11, 12]], [[0, 32768, 65535]]),  # 32767.5 is rounded to even
        ("u2", 12, [[0, 1365, 4095]], [[0, 21845, 65535]]),
        ("i2", 12, [[-2048, -683, 2047]], [[0, 21845, 65535]]),
        ("i2", 16, [[-32768, 32767]], [[0, 65535]]),
        ("u4", 32, [[0, 2**32 - 1, 2**31]], [[0, 65535, 32768]]),
        ("i4", 32, [[-(2**31), 2**31 - 1, 0]], [[0, 65535, 32768]]),
        ("u4", 32, [[2**32 - 3, 2**32 - 1]], [[0, 65535]]),
        ("u2", 16, [[7, 7], [7, 7]], [[0, 0], [0, 0]]),
    ],
)
def test_the_values_of_the_image_span_black_to_white(tmp_path, dtype, stored, pixels, expected):
    assert levels(tmp_path, pixels, dtype, BitsStored=stored) == expected


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
     DeflatedExplicitVRLittleEndian],
)  # fmt: skip
def test_the_encoding_of_the_file_makes_no_difference(tmp_path, syntax):
    table = lut([0, 1000, 4095], -3, 12)
    image = levels(
        tmp_path, [[-4, -3, -2], [-1, 0, 5]], "i2", BitsStored=12, TransferSyntaxUID=syntax,
        VOILUTSequence=[table],
    )  # fmt: skip
    middle = round(1000 / 4095 * WHITE)
    assert image == [[0, 0, middle], [WHITE, WHITE, WHITE]]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(("dtype", "stored"), [("u1", 8), ("u2", 12), ("i2", 16), ("i2", 12)])
def test_lossless_compression_makes_no_difference(tmp_path, syntax, dtype, stored):
    low = -(2 ** (stored - 1)) if dtype == "i2" else 0
    pixels = np.random.default_rng(0).integers(low, low + 2**stored, (9, 7))
    plain = dataset_of(pixels, dtype, BitsStored=stored)
    expected = read(write(tmp_path / "plain.dcm", plain))
    if syntax == RLELossless:
        plain.compress(syntax, encoding_plugin="pydicom")
    else:
        _compress(plain, pixels.astype(dtype), syntax)
    assert np.array_equal(read(write(tmp_path / "compressed.dcm", plain)), expected)


def _compress(dataset, pixels, syntax):
    """Compress with imagecodecs, which isn't what the reader decompresses with."""
    import imagecodecs
    from pydicom.encaps import encapsulate

    if syntax == JPEG2000Lossless:
        frame = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True)
    else:
        frame = imagecodecs.jpegls_encode(pixels.view(f"u{pixels.itemsize}"))
    dataset.add_new("PixelData", "OB", encapsulate([frame]))
    dataset.file_meta.TransferSyntaxUID = syntax


# Bits --------------------------------------------------------------------------------------------


def test_unused_bits_are_no_part_of_a_value(tmp_path):
    # Bits 12 to 15 hold an overlay, as files of the ACR-NEMA time do.
    assert levels(tmp_path, [[0xF000, 0x1555, 0x8FFF]], BitsStored=12) == [[0, 21845, WHITE]]
    # 0x800 is -2048, and 0x7FF is 2047.
    signed = levels(tmp_path, [[0x0800, 0x0D55, 0xF7FF]], BitsStored=12, PixelRepresentation=1)
    assert signed == [[0, 21845, WHITE]]


def test_values_can_be_in_the_upper_bits(tmp_path):
    pixels = [[0x000F, 0x5550, 0xFFF5]]
    assert levels(tmp_path, pixels, BitsStored=12, HighBit=15) == [[0, 21845, WHITE]]
    pixels = [[0x8000, 0xD55F, 0x7FF0]]
    signed = levels(tmp_path, pixels, BitsStored=12, HighBit=15, PixelRepresentation=1)
    assert signed == [[0, 21845, WHITE]]


def test_an_image_can_have_one_bit(tmp_path):
    packed = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": b"\x05\x00"}
    assert levels(tmp_path, [[0, 0, 0]], "u1", **packed) == [[WHITE, 0, WHITE]]


# Windows (PS3.3, C.11.2.1.2 and C.11.2.1.3) ------------------------------------------------------


def test_the_windows_of_the_standards_examples(tmp_path):
    # C.11.2.1.2.1: with c=2048, w=4096 the output is 0 to 65535 for 0 to 4095.
    pixels = [[0, 1365, 4095]]
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "BitsStored": 16}
    assert levels(tmp_path, pixels, **window) == [[0, 21845, WHITE]]
    # c=2048, w=1: x <= 2047.5 is black. c=0, w=100: x <= -50 is black, x > 49 is white.
    assert levels(tmp_path, [[2047, 2048]], WindowCenter=2048, WindowWidth=1) == [[0, WHITE]]
    pixels = [[-51, -50, -49, 0, 48, 49, 50]]
    expected = [0, 0, round(WHITE / 99), round(50 / 99 * WHITE), round(98 / 99 * WHITE)]
    image = levels(tmp_path, pixels, "i2", WindowCenter=0, WindowWidth=100)
    assert image == [[*expected, WHITE, WHITE]]


def test_the_exact_and_the_sigmoid_function(tmp_path):
    window = {"WindowCenter": 100, "WindowWidth": 50}
    pixels = [[75, 100, 125, 85, 255]]
    exact = levels(tmp_path, pixels, "u1", VOILUTFunction="LINEAR_EXACT", **window)
    assert exact == [[0, 32768, WHITE, 13107, WHITE]]
    sigmoid = levels(tmp_path, pixels, "u1", VOILUTFunction="SIGMOID", **window)
    expected = [round(WHITE / (1 + math.exp(-4 * (x - 100) / 50))) for x in pixels[0]]
    assert sigmoid == [expected]
    with np.errstate(all="raise"):
        far = levels(tmp_path, [[0, 65535]], VOILUTFunction="SIGMOID", WindowCenter=300,
                     WindowWidth=0.1)  # fmt: skip
    assert far == [[0, WHITE]]


def test_the_first_usable_window_counts(tmp_path):
    pixels = [[0, 255]]
    assert levels(tmp_path, pixels, "u1", VOILUTFunction="CUBIC") == [[0, WHITE]]  # of no window
    first = {"WindowCenter": [0.5, 1000], "WindowWidth": [1, 5]}
    assert levels(tmp_path, [[0, 1, 255]], "u1", **first) == [[0, WHITE, WHITE]]
    second = {"WindowCenter": [1, 128], "WindowWidth": [0, 256]}
    assert levels(tmp_path, [[51, 255]], "u1", **second) == [[13107, WHITE]]
    for unusable in ({"WindowCenter": 1, "WindowWidth": 0}, {"WindowCenter": 9},
                     {"WindowCenter": "", "WindowWidth": ""}):  # fmt: skip
        assert levels(tmp_path, pixels, "u1", **unusable) == [[0, WHITE]]


def test_a_given_window_replaces_the_files(tmp_path):
    own = {"WindowCenter": 5, "WindowWidth": 2, "VOILUTSequence": [lut([9, 0], 0, 8)]}
    pixels = [[0, 51, 255]]
    assert levels(tmp_path, pixels, "u1", (128, 256), **own) == [[0, 13107, WHITE]]


# Look-up tables ----------------------------------------------------------------------------------


def test_a_voi_lut_goes_before_a_window(tmp_path):
    elements = {"WindowCenter": 5, "WindowWidth": 2, "VOILUTSequence": [lut([255, 51, 0], 2, 8)]}
    image = levels(tmp_path, [[0, 2, 3, 4, 9]], **elements)
    assert image == [[WHITE, WHITE, 13107, 0, 0]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_lut_can_have_more_entries_than_levels(tmp_path, order):
    # 4096 entries of 8 bits, as words, and packed two to a word.
    entries = [number // 16 for number in range(4096)]
    syntax = ExplicitVRBigEndian if order == ">" else ExplicitVRLittleEndian
    words = np.array(entries, f"{order}u2").tobytes()
    packed = np.array(entries, np.uint8).view("<u2").astype(f"{order}u2").tobytes()
    for data in (words, packed):
        table = lut(entries, 0, 8, data)
        image = levels(tmp_path, [[0, 816, 4095]], TransferSyntaxUID=syntax, VOILUTSequence=[table])
        assert image == [[0, 13107, WHITE]]


def test_a_lut_of_65536_entries_and_a_wrong_depth(tmp_path):
    entries = list(range(65536))
    table = lut(entries, 0, 16, np.array(entries, "<u2").tobytes())
    assert levels(tmp_path, [[0, 13107, 65535]], VOILUTSequence=[table]) == [[0, 13107, 65535]]
    wrong = lut([0, 819, 4095], 0, 8)  # 12 bits
    assert levels(tmp_path, [[0, 1, 2]], VOILUTSequence=[wrong]) == [[0, 13107, WHITE]]


def test_the_modality_lut_goes_first(tmp_path):
    # 0, 1, 2 become 0, 100, 51; then the window 0 to 255.
    modality = {"ModalityLUTSequence": [lut([0, 100, 51], 0, 8)]}
    image = levels(tmp_path, [[0, 2, 9]], WindowCenter=128, WindowWidth=256, **modality)
    assert image == [[0, 13107, 13107]]
    assert levels(tmp_path, [[0, 1, 2]], **modality) == [[0, WHITE, round(0.51 * WHITE)]]
    rescaled = {"RescaleSlope": 0.5, "RescaleIntercept": -10}  # 20, 122, 530 become 0, 51, 255
    image = levels(tmp_path, [[20, 122, 530]], WindowCenter=128, WindowWidth=256, **rescaled)
    assert image == [[0, 13107, WHITE]]
    falling = levels(tmp_path, [[0, 51, 255]], RescaleSlope=-1, RescaleIntercept=0)
    assert falling == [[WHITE, WHITE - 13107, 0]]
    table = lut([0, 255], -10, 8)
    image = levels(tmp_path, [[0, 2]], "i2", VOILUTSequence=[table], **rescaled)
    assert image == [[0, WHITE]]


# MONOCHROME1 and padding -------------------------------------------------------------------------


def test_monochrome1_is_inverted_last(tmp_path):
    inverted = {"PhotometricInterpretation": "MONOCHROME1"}
    window = {"WindowCenter": 101, "WindowWidth": 101}  # 50.5 to 150.5
    plain = np.array(levels(tmp_path, [[0, 60, 120, 255]], "u1", **window))
    image = levels(tmp_path, [[0, 60, 120, 255]], "u1", **window, **inverted)
    assert image == (WHITE - plain).tolist()
    table = {"VOILUTSequence": [lut([0, 51, 255], 0, 8)]}
    image = levels(tmp_path, [[0, 1, 2]], **table, **inverted)
    assert image == [[WHITE, WHITE - 13107, 0]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_no_part_of_the_range(tmp_path, photometric):
    def padded(pixels, dtype="u2", **elements):
        elements["PhotometricInterpretation"] = photometric
        (row,) = levels(tmp_path, [pixels], dtype, **elements)
        return row

    black, white = (0, WHITE) if photometric == "MONOCHROME2" else (WHITE, 0)
    assert padded([65535, 100, 200], PixelPaddingValue=65535) == [0, black, white]
    assert padded([0, 100, 200], PixelPaddingValue=0) == [0, black, white]
    two = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 50}
    assert padded([0, 25, 50, 51, 200], **two) == [0, 0, 0, black, white]
    two = {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 65000}
    assert padded([65535, 65100, 100, 64999], **two) == [0, 0, black, white]
    assert padded([-2000, -1, 1], "i2", PixelPaddingValue=-2000) == [0, black, white]
    window = {"WindowCenter": 150.5, "WindowWidth": 101}
    assert padded([150, 100, 200], PixelPaddingValue=150, **window) == [0, black, white]
    assert padded([7, 7, 7], PixelPaddingValue=7) == [0, 0, 0]
    limit = {"PixelPaddingRangeLimit": 200}  # means nothing without PixelPaddingValue
    assert padded([100, 200], **limit) == [black, white]
    assert padded([100, 200], **limit, PixelPaddingValue="") == [black, white]


def test_a_padding_value_with_the_wrong_sign_is_understood(tmp_path):
    dataset = dataset_of([[-2000, 0, 100]], "i2")
    dataset.add_new("PixelPaddingValue", "US", 63536)
    assert read(write(tmp_path / "a.dcm", dataset)).tolist() == [[0, 0, WHITE]]


# Properties --------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    values=st.sets(st.integers(-40000, 40000), min_size=2),
    window=st.none() | st.tuples(st.floats(-1e4, 1e4), st.floats(1, 1e5)),
    slope=st.floats(0.01, 100),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_levels_rise_or_fall_with_the_values(values, window, slope, photometric):
    dataset = dataset_of([[0]], RescaleSlope=slope, PhotometricInterpretation=photometric)
    stored = np.array(sorted(values))
    found = grey_levels(stored, dataset, window)
    assert found.min() >= 0
    assert found.max() <= 1
    steps = np.diff(found) if photometric == "MONOCHROME2" else -np.diff(found)
    assert (steps >= 0).all()
    if window is None:
        assert {found[0], found[-1]} == {0, 1}


def test_the_reader_keeps_its_contract(tmp_path):
    (record,) = mura_readers()
    pixels = np.arange(4096).reshape(64, 64)
    for name in ("image.dcm", "1.2.840.1", "IM0001"):
        check_reader(record, write_radiograph(tmp_path / name, pixels, BitsStored=12))
