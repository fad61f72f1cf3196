"""The reader of DICOM files, a plugin like any other. It needs the extra `dicom`."""

from mura_plugins import Reader, hookimpl

SUFFIXES = (".dcm", ".dicom", ".dic")
# A DICOM file starts with 128 bytes of any content (PS3.10, 7.1).
SIGNATURE = (128, b"DICM")


@hookimpl
def mura_readers() -> list[Reader]:
    """Return the reader of DICOM files."""
    return [
        Reader(
            "dicom",
            SUFFIXES,
            "mura_plugins.dicom.reader:read",
            "DICOM: grey images of one frame; needs pip install 'mura-run[dicom]'",
            (SIGNATURE,),
        )
    ]
