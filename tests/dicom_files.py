"""DICOM files, written on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"
# Their VR depends on the sign of the pixels.
_SIGNED = ("PixelPaddingValue", "PixelPaddingRangeLimit")


def dataset_of(pixels: Any, dtype: str = "u2", **elements: Any) -> Dataset:
    """Return a data set of a radiograph, with further elements by keyword; None removes one."""
    values = np.asarray(pixels, dtype)
    bits = 8 * values.itemsize
    syntax = elements.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = DIGITAL_XRAY, generate_uid()
    dataset.StudyInstanceUID, dataset.PatientID = generate_uid(), "4711"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = values.astype(f"{order}{dtype}").tobytes()
    dataset.add_new("PixelData", "OW", content + b"\0" * (len(content) % 2))
    for keyword, value in elements.items():
        if value is None:
            dataset.pop(keyword, None)
        elif keyword in _SIGNED:
            dataset.add_new(keyword, "SS" if dataset.PixelRepresentation else "US", value)
        else:
            setattr(dataset, keyword, value)
    if "BitsStored" in elements and "HighBit" not in elements:
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def lut(entries: list[int], first: int, bits: int, data: bytes | None = None) -> Dataset:
    """Return the item of a LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    if data is None:
        item.add_new("LUTData", "US", entries)
    else:
        item.add_new("LUTData", "OW", data)
    return item


def write(path: Path, dataset: Dataset) -> Path:
    """Write a data set as a DICOM file, in the transfer syntax that it names."""
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def write_radiograph(path: Path, pixels: Any, dtype: str = "u2", **elements: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, dataset_of(pixels, dtype, **elements))
