"""Name what a file holds that isn't an image, and what to do about it."""

from __future__ import annotations

import json

_START = 1024  # bytes within which text documents say what they are

# By their first bytes.
_SIGNATURES = {
    b"version https://git-lfs.github.com/spec/": "is a Git LFS pointer: run git lfs pull",
    b"%PDF-": "is a PDF document; export its image as PNG",
    b"PK\3\4": "is a ZIP archive; unpack it",
    b"PK\5\6": "is an empty ZIP archive",
    b"\x1f\x8b": "is a gzip archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it",
    b"Rar!": "is a RAR archive; unpack it",
    b"GIF8": "is a GIF image; save it as PNG",
    b"8BPS": "is a Photoshop document; save it as PNG",
    b"\xff\x0a": "is a JPEG XL image; save it as PNG",
    b"\0\0\0\x0cJXL ": "is a JPEG XL image; save it as PNG",
    b"\0\0\0\x0cjP  ": "is a JPEG 2000 image; save it as PNG",
    b"\xff\x4f\xff\x51": "is a JPEG 2000 image; save it as PNG",
    b"\xff\xd8": "is damaged: it starts as a JPEG image, but isn't one",
    b"\x89PNG": "is damaged: its PNG signature was changed, as by a transfer as text",
}
_ANNEX = "is a git-annex pointer: run git annex get"


def reason_no_image(content: bytes, *, reads_dicom: bool = False) -> str | None:
    """Return what a file is that isn't an image of a supported format, or None if it isn't known.

    Parameters
    ----------
    content : bytes
        The whole file.
    reads_dicom : bool
        Whether a plugin reads DICOM. Plugins read files, not their content.

    Returns
    -------
    str or None
        A clause that follows the name of the file, such as "is an HTML page, not an image".
    """
    if content[128:132] == b"DICM":
        mend = "give its path instead" if reads_dicom else "pip install 'mura-run[dicom]'"
        return f"is DICOM; to read it: {mend}"
    for signature, reason in _SIGNATURES.items():
        if content.startswith(signature):
            return reason
    if content[4:8] == b"ftyp":
        return "is a HEIC or AVIF image, or a video; save it as PNG"
    if not any(content):
        return f"holds only zeros ({len(content)} bytes); copy or download it again"
    return _kind_of_text(content)


def reason_broken_link(target: str) -> str | None:
    """Return why a symbolic link leads nowhere, or None if that isn't known.

    Parameters
    ----------
    target : str
        What the link refers to.
    """
    return _ANNEX if "/annex/objects/" in target.replace("\\", "/") else None


def _kind_of_text(content: bytes) -> str | None:
    start = content[:_START].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"/annex/objects/" in start.split(b"\n")[0]:
        return _ANNEX
    if start.startswith(b"<"):
        if b"<!doctype html" in start or b"<html" in start or b"<head" in start:
            return "is an HTML page, not an image"
        if start.startswith((b"<?xml", b"<error", b"<svg", b"<!doctype")):
            return "is an XML document, not an image"
    if start.startswith((b"{", b"[")):
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            pass
        else:
            return "is JSON, not an image"
    try:
        text = content[:_START].decode()
    except UnicodeDecodeError:
        return None
    return "is not an image, but text" if text.isprintable() or "\n" in text else None
