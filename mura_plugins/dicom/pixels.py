"""The stored values of the one grey frame of a DICOM data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.dicom.codestream import is_whole, size_of, with_valid_scan
from mura_plugins.dicom.dataset import INSTALL, name_of_class
from mura_plugins.errors import PluginError

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# The largest detectors have 25 million pixels.
MAX_PIXELS = 60_000_000
MAX_SIDE = 30_000
# PS3.3, C.7.6.3.1.2, with the retired ones.
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("PALETTE COLOR", "RGB", "YBR", "HSV", "ARGB", "CMYK", "XYB")


def stored_values(dataset: Dataset) -> NDArray[np.integer]:
    """Return the stored values of the image, decompressed, without unused bits.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    ndarray of shape (H, W), int or uint of 8 to 64 bits

    Raises
    ------
    PluginError
        There is no grey image of one frame, or its compression isn't supported.
    """
    _refuse_other_objects(dataset)
    syntax = _transfer_syntax(dataset)
    if syntax.is_encapsulated:
        return _decompressed(dataset, syntax)
    _refuse_truncated(dataset)
    return _unpacked(dataset)


def _refuse_other_objects(dataset: Dataset) -> None:
    kind = name_of_class(dataset)
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise PluginError(f"has floating-point pixels ({kind}); only radiographs are read")
    if "PixelData" not in dataset:
        cut = ", although it declares Rows: it is cut off" if "Rows" in dataset else ""
        raise PluginError(f"has no pixels{cut} ({kind})")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise PluginError(f"has {frames} frames; save each as a file of its own ({kind})")
    if "SharedFunctionalGroupsSequence" in dataset:
        raise PluginError(
            f"is a multi-frame object, of one frame; only radiographs are read ({kind})"
        )
    photometric = dataset.get("PhotometricInterpretation")
    if not photometric:
        raise PluginError(f"doesn't name its PhotometricInterpretation ({kind})")
    samples = dataset.get("SamplesPerPixel", 1)
    if photometric.startswith(_COLOUR) or samples != 1:
        raise PluginError(
            f"is a colour image ({photometric}, SamplesPerPixel {samples}); only grey ones are read"
        )
    if photometric not in _GREY:
        raise PluginError(f"has the unknown PhotometricInterpretation {photometric!r}")
    rows, columns = dataset.Rows, dataset.Columns
    if not rows or not columns:
        raise PluginError(f"has no pixels: it is {columns} x {rows}")
    if max(rows, columns) > MAX_SIDE:
        raise PluginError(
            f"has {columns} x {rows} pixels; the limit is {MAX_SIDE:,} pixels per side"
        )
    if rows * columns > MAX_PIXELS:
        raise PluginError(f"has {columns} x {rows} pixels; the limit is {MAX_PIXELS:,} pixels")
    stored, allocated = dataset.BitsStored, dataset.BitsAllocated
    if not 0 < stored <= dataset.get("HighBit", stored - 1) + 1 <= allocated:
        raise PluginError(
            f"contradicts itself: BitsStored {stored}, HighBit {dataset.get('HighBit')} and"
            f" BitsAllocated {allocated}"
        )


def _transfer_syntax(dataset: Dataset) -> UID:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise PluginError("doesn't name its TransferSyntaxUID")
    if not syntax.is_transfer_syntax:
        raise PluginError(f"is encoded as {syntax}, which isn't supported")
    return syntax


def _refuse_truncated(dataset: Dataset) -> None:
    expected = -(-dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8)
    found = len(dataset.PixelData)
    if found < expected:
        raise PluginError(f"is truncated: {found:,} of {expected:,} bytes of pixels")


def _check_codestream(dataset: Dataset) -> None:
    """Raise a PluginError if the compressed frame is truncated or of another size than declared.

    A frame that the decoders would refuse for its scan parameters is replaced in the data set.
    """
    from pydicom.encaps import encapsulate, get_frame

    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if not is_whole(frame):
        raise PluginError(
            f"is truncated: {len(frame):,} bytes of compressed pixels, without an end"
        )
    size = size_of(frame)
    if size is not None and size != (dataset.Rows, dataset.Columns):
        rows, columns = size
        raise PluginError(
            f"contradicts itself: {columns} x {rows} compressed pixels, but Columns and Rows say"
            f" {dataset.Columns} x {dataset.Rows}"
        )
    valid = with_valid_scan(frame)
    if valid != frame:
        dataset["PixelData"].value = encapsulate([valid])


def _decompressed(dataset: Dataset, syntax: UID) -> NDArray[np.integer]:
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise PluginError(f"is encoded as {syntax.name}, which isn't supported") from None
    # Named, so that the pixels don't depend on which other decoders are installed.
    plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    if plugin not in decoder.available_plugins:
        raise PluginError(f"is DICOM, compressed as {syntax.name}; {INSTALL}")
    if plugin == "pylibjpeg":
        _check_codestream(dataset)
    options: dict[str, Any] = {
        "raw": True, "allow_excess_frames": False, "decoding_plugin": plugin,
    }  # fmt: skip
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and dataset.PixelRepresentation == 0:
        # A cosine transform overshoots. Without its upper bits, 1024 of 10 bits would be 0.
        values = pixel_array(dataset, **options, correct_unused_bits=False)
        return values.clip(max=(1 << dataset.BitsStored) - 1)
    return pixel_array(dataset, **options)


def _unpacked(dataset: Dataset) -> NDArray[np.integer]:
    from pydicom.pixels import pixel_array

    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    unused = allocated - 1 - dataset.get("HighBit", stored - 1)
    lowest_bit = allocated - unused - stored
    values = pixel_array(
        dataset,
        raw=True,
        allow_excess_frames=False,
        # pydicom supposes that the lowest bit is used.
        correct_unused_bits=lowest_bit == 0,
    )
    return values if lowest_bit == 0 else (values << unused) >> (unused + lowest_bit)
