"""DICOM images against those that DCMTK and imagecodecs make of the same files."""

import shutil
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import dataset_of, lut, write
from PIL import Image
from pydicom.encaps import get_frame

from mura_plugins import PluginError
from mura_plugins.dicom.pixels import stored_values
from mura_plugins.dicom.reader import read

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
needs_dcmtk = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="needs dcmtk (a Debian package)"
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = np.arange(4096).reshape(64, 64)


def by_dcmtk(path: Path, *options: str) -> np.ndarray:
    """Return what DCMTK renders, in 16 bits, without overlays and at the stored size."""
    png = path.with_suffix(".png")
    command = ["dcmj2pnm", "--no-overlays", "-a", "+on2", *options, str(path), str(png)]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(png)).astype(np.int64)


def difference(path: Path, *options: str, window=None) -> int:
    image = read(path, window=window)
    assert len(np.unique(image)) > 2
    return int(np.abs(image.astype(np.int64) - by_dcmtk(path, *options)).max())


@needs_dcmtk
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("dtype", "elements", "options"),
    [
        ("u2", {"BitsStored": 12}, ["+Wm"]),
        ("u2", {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 1500}, ["+Wi", "1"]),
        ("u2", {"WindowCenter": [900.5, 2000], "WindowWidth": [301, 1500]}, ["+Wi", "1"]),
        ("u2", {"WindowCenter": 1000, "WindowWidth": 700, "VOILUTFunction": "SIGMOID"},
         ["+Wi", "1"]),
        ("i2", {"BitsStored": 13}, ["+Wm"]),
        ("i2", {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 40,
                "WindowWidth": 400}, ["+Wi", "1"]),
        ("u2", {"VOILUTSequence": [lut(list(range(0, 4096, 2)), 100, 12)]}, ["+Wl", "1"]),
        ("u2", {"VOILUTSequence": [lut([0, 3, 200, 255], 1000, 8)]}, ["+Wl", "1"]),
        ("u2", {"ModalityLUTSequence": [lut(list(range(4095, -1, -1)), 0, 12)],
                "WindowCenter": 2000, "WindowWidth": 1500}, ["+Wi", "1"]),
        ("u1", {"WindowCenter": 128, "WindowWidth": 100}, ["+Wi", "1"]),
        ("u2", {"BitsStored": 12, "HighBit": 15}, ["+Wm"]),
    ],
)  # fmt: skip
def test_rendering_is_that_of_dcmtk(tmp_path, photometric, dtype, elements, options):
    pixels = RAMP - 2048 if dtype == "i2" else RAMP % 256 if dtype == "u1" else RAMP
    if "HighBit" in elements:
        pixels = pixels << 4
    given = dict(elements, PhotometricInterpretation=photometric)
    for item in (*given.get("VOILUTSequence", ()), *given.get("ModalityLUTSequence", ())):
        item.LUTExplanation = "made for a test"
        item.ModalityLUTType = "US"
    dataset = dataset_of(pixels, dtype, **given)
    tolerance = 1  # level of 65,535: DCMTK rounds in other places
    if "VOILUTSequence" in elements:
        # DCMTK makes the highest of 256 levels 255/256 of white, so that nothing is white.
        tolerance += 65536 >> elements["VOILUTSequence"][0].LUTDescriptor[2]
    assert difference(write(tmp_path / "a.dcm", dataset), *options) <= tolerance


@needs_dcmtk
def test_a_given_window_is_that_of_dcmtk(tmp_path):
    path = write(tmp_path / "a.dcm", dataset_of(RAMP, WindowCenter=5, WindowWidth=6))
    assert difference(path, "+Ww", "1500", "800", window=(1500, 800)) <= 1


# DCMTK takes 32-bit pixels for words in a big-endian file, and knows neither JPEG 2000 nor JPEG-LS.
_OTHERS = ("rtdose_expb_1frame.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm",
           "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm", "MR_small_jp2klossless.dcm",
           "MR_small_jpeg_ls_lossless.dcm")  # fmt: skip


def grey_files() -> list[Path]:
    found = []
    for path in sorted(SHIPPED.rglob("*")):
        if path.is_file() and path.read_bytes()[128:132] == b"DICM" and path.name not in _OTHERS:
            try:
                read(path)
            except PluginError:
                continue
            found.append(path)
    return found


@needs_dcmtk
@pytest.mark.parametrize("path", grey_files(), ids=lambda path: path.name)
def test_pydicoms_files_are_rendered_as_by_dcmtk(path, tmp_path):
    copy = tmp_path / "a.dcm"
    shutil.copyfile(path, copy)
    dataset = pydicom.dcmread(path)
    options = ["+Wi", "1"] if "WindowWidth" in dataset else ["+Wm"]
    image, rendered = read(copy).astype(np.int64), by_dcmtk(copy, *options)
    tolerance = 1.0
    if path.name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        tolerance = 0.01 * 65535  # lossy, and each decoder has its own cosine transform
    elif float(dataset.get("RescaleSlope", 1)) % 1:
        # DCMTK rounds to integers before the window.
        tolerance = 65535 / (float(dataset.WindowWidth) - 1)
    assert np.abs(image - rendered).max() <= tolerance


@needs_dcmtk
@pytest.mark.parametrize(
    ("command", "dtype", "stored"),
    [
        (["dcmcjpeg", "+e1"], "u2", 12),  # JPEG lossless
        (["dcmcjpeg", "+el"], "u1", 8),
        (["dcmcjpeg", "+e1"], "u2", 16),
        (["dcmcjpeg", "+e1"], "i2", 12),
        (["dcmcjpls"], "i2", 12),
        (["dcmcjpls"], "u2", 12),
        (["dcmcjpls"], "u2", 16),
        (["dcmcjpls"], "u1", 8),
        (["dcmcrle"], "i2", 12),
    ],
)
def test_what_dcmtk_compresses_has_the_same_pixels(tmp_path, command, dtype, stored):
    low = -(2 ** (stored - 1)) if dtype == "i2" else 0
    pixels = np.random.default_rng(0).integers(low, low + 2**stored, (33, 21))
    plain = write(tmp_path / "plain.dcm", dataset_of(pixels, dtype, BitsStored=stored))
    packed = tmp_path / "packed.dcm"
    subprocess.run([*command, str(plain), str(packed)], check=True, capture_output=True)
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID.is_encapsulated
    assert np.array_equal(read(packed), read(plain))
    assert np.array_equal(stored_values(pydicom.dcmread(packed)), pixels)


@pytest.mark.parametrize(
    ("name", "decode"),
    [
        ("693_J2KI.dcm", imagecodecs.jpeg2k_decode),
        ("JPEG2000.dcm", imagecodecs.jpeg2k_decode),
        ("J2K_pixelrep_mismatch.dcm", imagecodecs.jpeg2k_decode),
        ("MR_small_jp2klossless.dcm", imagecodecs.jpeg2k_decode),
        ("MR_small_jpeg_ls_lossless.dcm", imagecodecs.jpegls_decode),
        ("JPEGLSNearLossless_08.dcm", imagecodecs.jpegls_decode),
        ("JPEGLSNearLossless_16.dcm", imagecodecs.jpegls_decode),
    ],
)
def test_jpeg_2000_and_jpeg_ls_are_decompressed_as_by_imagecodecs(name, decode):
    dataset = pydicom.dcmread(SHIPPED / name)
    expected = decode(get_frame(dataset.PixelData, 0, number_of_frames=1)).astype(np.int64)
    found = stored_values(dataset).astype(np.int64)
    if dataset.PixelRepresentation == 0 and expected.min() < 0:
        # PixelRepresentation counts, even if the codestream says that it is signed.
        expected += 1 << (dataset.BitsStored - 1)
    assert np.array_equal(found % (1 << dataset.BitsStored), expected % (1 << dataset.BitsStored))
