"""Open DICOM files as pydicom data sets. No code from a file is run, and nothing is unpickled."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mura_plugins.errors import PluginError

if TYPE_CHECKING:
    from pydicom import Dataset

INSTALL = "to read it: pip install 'mura-run[dicom]'"

# An uncompressed image of the largest detectors takes 50 MB. Deflate can inflate a thousandfold.
_MOST_INFLATED = 1 << 30
_MOST_CHARACTERS = 250  # of a reason
_META_STARTS = 144  # after the preamble, its signature and the element with the length


def open_dataset(path: Path, keywords: Sequence[str] | None = None) -> Dataset:
    """Return the data set of a DICOM file.

    Parameters
    ----------
    path : Path
    keywords : sequence of str, optional
        The elements to read, without the pixels; by default all.

    Raises
    ------
    PluginError
        pydicom isn't installed, or the file isn't DICOM or can't be opened.
    """
    pydicom = _pydicom()
    try:
        _refuse_bomb(path)
        if keywords is None:
            return pydicom.dcmread(path)
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except pydicom.errors.InvalidDicomError:
        raise PluginError("is not a DICOM file: it hasn't DICM at byte 128") from None
    except (PluginError, MemoryError):
        raise
    # pydicom raises many kinds of exceptions for damaged content, an OSError among them.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise PluginError(f"can't be read ({error.strerror})") from None
        raise PluginError(damaged(error)) from None


def name_of_class(dataset: Dataset) -> str:
    """Return the name of an object's class, such as "Digital X-Ray Image Storage".

    Parameters
    ----------
    dataset : Dataset
    """
    meta = getattr(dataset, "file_meta", {})
    uid = dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
    return str(uid.name) if uid else "of no named class"


def damaged(error: Exception) -> str:
    """Return the reason for an exception of pydicom or a decoder, in one line.

    Parameters
    ----------
    error : Exception
    """
    return f"is damaged, or not valid DICOM ({type(error).__name__}: {in_one_line(str(error))})"


def in_one_line(text: str) -> str:
    """Return a text that may come from a file without line breaks and control characters.

    Parameters
    ----------
    text : str
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MOST_CHARACTERS]


@cache
def _pydicom() -> ModuleType:
    try:
        import pydicom
    except ImportError:
        raise PluginError(f"is DICOM; {INSTALL}") from None
    # What pydicom warns of is either refused by name or makes no difference to the pixels.
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    return pydicom


def _refuse_bomb(path: Path) -> None:
    """Raise a PluginError if a deflated data set is too large to be an image."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    start = _META_STARTS + meta.FileMetaInformationGroupLength
    inflater.decompress(path.read_bytes()[start:], _MOST_INFLATED)
    if inflater.unconsumed_tail:
        raise PluginError(f"inflates to more than {_MOST_INFLATED:,} bytes, the limit")
