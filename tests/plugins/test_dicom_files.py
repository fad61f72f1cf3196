"""DICOM files are read or refused in one line: pydicom's own, damaged ones, and other objects."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from command_line import refused
from dicom_files import dataset_of, lut, write, write_radiograph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from mura_core.data import installed_readers
from mura_core.errors import RadiographError
from mura_core.imaging import image_files, read_radiograph
from mura_plugins import PluginError
from mura_plugins.dicom import dataset as opening
from mura_plugins.dicom.reader import read

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of damaged files

SHIPPED = Path(pydicom.__file__).parent / "data"
FILES = sorted(path for path in SHIPPED.rglob("*") if path.is_file() and path.suffix != ".pyc")
WITH_SIGNATURE = [path for path in FILES if path.read_bytes()[128:132] == b"DICM"]


def shipped(name: str) -> Path:
    return Path(get_testdata_file(name, download=False))


def is_readable(path: Path) -> bool:
    try:
        read(path)
    except PluginError:
        return False
    return True


READABLE = [path for path in WITH_SIGNATURE if is_readable(path)]


def reason(path: Path) -> str:
    with pytest.raises(PluginError) as refusal:
        read(path)
    line = str(refusal.value)
    assert line == " ".join(line.split())
    assert line.isprintable()
    assert len(line) < 320
    return line


# pydicom's own files ------------------------------------------------------------------------------


def test_grey_single_frames_are_read_and_all_others_refused():
    assert len(WITH_SIGNATURE) > 150
    assert len(READABLE) > 60
    refusals = {path: reason(path) for path in FILES if path not in READABLE}
    for path, why in refusals.items():
        if path not in WITH_SIGNATURE:
            assert why == "is not a DICOM file: it hasn't DICM at byte 128"
            continue
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            assert why.startswith("has no pixels")
    # Whole images of one grey frame that aren't read: damaged ones, of which pydicom's
    # README says so.
    unread = {
        path.name
        for path in refusals
        if path in WITH_SIGNATURE
        and not refusals[path].startswith(("has no pixels", "is a colour", "has ", "is a multi"))
    }
    assert unread == {
        "JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "badVR.dcm",
        "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
     "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm"],
)  # fmt: skip
def test_one_image_in_seven_encodings_has_one_result(name):
    assert np.array_equal(read(shipped(name)), read(shipped("MR_small.dcm")))


def test_sequential_jpeg_with_wrong_scan_parameters_is_read():
    # Of the PVRG encoder. The other file is the same with the right parameters.
    assert np.array_equal(read(shipped("JPEG-lossy.dcm")), read(shipped("JPGExtended.dcm")))


def test_what_lossy_compression_adds_above_the_stored_bits_is_clipped(tmp_path):
    # Bars of black and white: a cosine transform overshoots beside them.
    pixels = np.zeros((32, 32), np.uint16)
    pixels[:, 5:11] = pixels[9:14] = 1023
    frame = imagecodecs.jpeg_encode(pixels, level=60, bitspersample=12)
    assert imagecodecs.jpeg_decode(frame).max() > 1023
    dataset = dataset_of(pixels, BitsStored=10)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    dataset.add_new("PixelData", "OB", encapsulate([frame]))
    found = read(write(tmp_path / "a.dcm", dataset)).astype(int)
    assert found.max() == 65535
    assert found[pixels == 1023].min() > 60000


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_a_file_cut_off_is_refused_or_has_all_pixels(path, tmp_path):
    whole, content = read(path), path.read_bytes()
    cut = tmp_path / "cut.dcm"
    refusals = 0
    for missing in (1, 9, 100, len(content) // 10, len(content) // 2):
        cut.write_bytes(content[:-missing])
        try:
            # What follows the pixels may be missing.
            assert np.array_equal(read(cut), whole)
        except PluginError:
            refusals += 1
    assert refusals


@pytest.mark.parametrize(
    "name",
    ["JPGExtended.dcm", "693_J2KI.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm",
     "JPEGLSNearLossless_16.dcm"],
)  # fmt: skip
def test_a_cut_off_codestream_is_refused(name, tmp_path):
    dataset = pydicom.dcmread(shipped(name))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    for length in (len(frame) - 10, len(frame) // 2, 20):
        dataset["PixelData"].value = encapsulate([frame[:length]])
        assert reason(write(tmp_path / "cut.dcm", dataset))


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "693_J2KI.dcm", "JPEGLSNearLossless_08.dcm"])
def test_a_codestream_of_another_size_is_refused_before_it_is_decompressed(name, tmp_path):
    dataset = pydicom.dcmread(shipped(name))
    columns, rows = dataset.Columns, dataset.Rows
    dataset.Rows = rows + 1
    assert reason(write(tmp_path / "a.dcm", dataset)) == (
        f"contradicts itself: {columns} x {rows} compressed pixels, but Columns and Rows say"
        f" {columns} x {rows + 1}"
    )


# Refusals by name --------------------------------------------------------------------------------


PIXELS = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"NumberOfFrames": 30}, "has 30 frames; save each as a file of its own (Digital X-Ray"),
        ({"SharedFunctionalGroupsSequence": [Dataset()]}, "is a multi-frame object, of one frame"),
        ({"PixelData": None}, "has no pixels, although it declares Rows: it is cut off (Digital"),
        ({"PixelData": None, "Rows": None}, "has no pixels (Digital X-Ray Image Storage"),
        ({"PhotometricInterpretation": "RGB"}, "is a colour image (RGB, SamplesPerPixel 1)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is a colour image (PALETTE COLOR"),
        ({"SamplesPerPixel": 3}, "is a colour image (MONOCHROME2, SamplesPerPixel 3)"),
        ({"PhotometricInterpretation": "GREY\n1"}, "has the unknown PhotometricInterpretation"),
        ({"PhotometricInterpretation": None}, "doesn't name its PhotometricInterpretation"),
        ({"Rows": 0}, "has no pixels: it is 4 x 0"),
        ({"Rows": 4}, "is truncated: 24 of 32 bytes of pixels"),
        ({"Rows": 60000, "Columns": 60000}, "has 60000 x 60000 pixels; the limit is 30,000"),
        ({"BitsStored": 0}, "contradicts itself: BitsStored 0, HighBit -1"),
        ({"BitsStored": 17}, "contradicts itself: BitsStored 17"),
        ({"HighBit": 10}, "contradicts itself: BitsStored 16, HighBit 10 and BitsAllocated 16"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "is damaged, or not valid DICOM"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "can't be shown: RescaleSlope 0.0"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 1, "WindowWidth": 2}, "has the VOILUTFunctio"),
        ({"VOILUTSequence": [lut([1, 2, 3, 4], 0, 8, b"\1\2")]}, "is damaged: VOILUTSequence has"),
        ({"VOILUTSequence": [Dataset()]}, "is damaged, or not valid DICOM"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph_is_refused_by_name(tmp_path, elements, expected):
    if elements.get("BitsStored") == 0:
        elements = elements | {"HighBit": 65535}
        expected = "contradicts itself: BitsStored 0"
    path = write_radiograph(tmp_path / "a.dcm", PIXELS, **elements)
    assert reason(path).startswith(expected)
    with pytest.raises(RadiographError, match=f"^{path}: ") as error:
        read_radiograph(path, readers=installed_readers())
    assert error.value.reason == reason(path)


def test_floating_point_pixels_and_unknown_compression_are_refused(tmp_path):
    dataset = dataset_of(PIXELS, PixelData=None)
    dataset.add_new("FloatPixelData", "OF", np.zeros(12, np.float32).tobytes())
    assert reason(write(tmp_path / "a.dcm", dataset)).startswith("has floating-point pixels")
    for syntax, name in ((MPEG2MPML, "MPEG2 Main Profile"), ("1.2.3.4", "1.2.3.4")):
        dataset = dataset_of(PIXELS)
        dataset.add_new("PixelData", "OB", encapsulate([b"\0" * 24]))
        path = write(tmp_path / "b.dcm", dataset)
        meta = pydicom.dcmread(path)
        meta.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        meta["PixelData"].is_undefined_length = True
        pydicom.dcmwrite(path, meta, implicit_vr=False, little_endian=True, force_encoding=True)
        assert name in reason(path)


def test_a_deflated_file_that_inflates_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_MOST_INFLATED", 100_000)
    path = write_radiograph(
        tmp_path / "a.dcm", np.zeros((400, 400)), TransferSyntaxUID=DeflatedExplicitVRLittleEndian
    )
    assert path.stat().st_size < 5000
    assert reason(path) == "inflates to more than 100,000 bytes, the limit"


def test_missing_files_and_folders_are_refused(tmp_path):
    assert reason(tmp_path / "gone.dcm") == "can't be read (No such file or directory)"
    assert reason(tmp_path) == "can't be read (Is a directory)"
    for number, content in enumerate((b"", b"DICM", bytes(128) + b"DICM", gzip.compress(b"DICM"))):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(content)
        assert reason(path)


def test_pydicoms_warnings_and_logs_stay_off_the_console(tmp_path):
    dataset = pydicom.dcmread(shipped("JPEG-lossy.dcm"))
    dataset.add_new("PatientBirthDate", "DA", "last spring")
    for name, content in (
        ("a.dcm", shipped("JPEG2000.dcm")),
        ("b.dcm", shipped("MR_truncated.dcm")),
    ):
        (tmp_path / name).write_bytes(content.read_bytes()[:-9])
    write(tmp_path / "c.dcm", dataset)
    write(tmp_path / "d.dcm", dataset_of(np.zeros((9, 9)), NumberOfFrames=1, PixelData=bytes(500)))
    code = f"""
from pathlib import Path
from mura_plugins import PluginError
from mura_plugins.dicom.headers import read_header
from mura_plugins.dicom.reader import read
for path in Path({str(tmp_path)!r}).iterdir():
    for function in (read, read_header):
        try:
            function(path)
        except PluginError:
            pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Without the extra -------------------------------------------------------------------------------


def test_without_the_extra_a_file_is_said_to_be_dicom(tmp_path, monkeypatch):
    write_radiograph(tmp_path / "IM0001", PIXELS)
    (tmp_path / "manifest.csv").write_text(
        "path,body_part,patient,study,label,split\nIM0001,HAND,p1,s1,0,train\n"
    )
    monkeypatch.setitem(sys.modules, "pydicom", None)
    opening._pydicom.cache_clear()
    line = "is DICOM; to read it: pip install 'mura-run[dicom]'"
    path = tmp_path / "IM0001"
    assert image_files([tmp_path], installed_readers()).images == [path]
    with pytest.raises(RadiographError) as error:
        read_radiograph(path, readers=installed_readers())
    assert str(error.value) == f"{path}: {line}"
    refused(1, f"IM0001 {line}", "prepare", "--data", tmp_path, "--size", 8)
    opening._pydicom.cache_clear()


def test_without_the_decoders_the_extra_is_named():
    code = f"""
import sys
sys.modules |= dict.fromkeys(["pylibjpeg", "libjpeg", "openjpeg"])
from pathlib import Path
from mura_plugins.dicom.reader import read
assert read(Path({str(shipped("MR_small_RLE.dcm"))!r})).shape == (64, 64)
read(Path({str(shipped("MR_small_jp2klossless.dcm"))!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(
        "is DICOM, compressed as JPEG 2000 Image Compression (Lossless Only); to read it: pip"
        " install 'mura-run[dicom]'"
    )


# Damaged files -----------------------------------------------------------------------------------


COMPRESSED = ["JPEG-lossy.dcm", "JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm",
              "JPEGLSNearLossless_08.dcm", "MR_small_RLE.dcm"]  # fmt: skip
PLAIN = ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]


@settings(max_examples=300, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(name=st.sampled_from(COMPRESSED + PLAIN), seed=st.integers(0, 10**6))
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, name, seed):
    chance = random.Random(seed)
    content = bytearray(shipped(name).read_bytes())
    for _ in range(chance.choice([1, 2, 5, 20])):
        end = min(len(content), chance.choice([1200, 3000, len(content)]))
        content[chance.randrange(132, end)] = chance.choice([0, 1, 255, chance.randrange(256)])
    if chance.random() < 0.2:
        del content[chance.randrange(132, len(content)) :]
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content)
    try:
        image = read(path)
    except PluginError:
        assert reason(path)
        return
    assert image.dtype == np.uint16
    assert image.ndim == 2
