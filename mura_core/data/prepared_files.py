"""Write the files of a prepared set, so that an interrupted preparation can resume."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import deque
from dataclasses import astuple, dataclass
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from mura_core.data.manifest import Manifest
from mura_core.data.prepared_checks import HEADER_BYTES, checksums_of, write_checksums
from mura_core.errors import DataError, RadiographError, printable
from mura_core.files import write_csv
from mura_core.imaging import ImageTraits, Readers, Square, crc32, in_batches, stream_images
from mura_core.progress import Progress

_AT_ONCE = 8  # images written at a time


_JOURNAL_EVERY = 128  # such batches; at most this much work is lost by an interruption


@dataclass(frozen=True)
class _Outcome:
    """What became of an image: a line of the journal.

    Attributes
    ----------
    checksum : int
        CRC-32 of its pixels; 0 if it can't be read.
    reason : str
        Why it can't be read, or nothing.
    traits : ImageTraits or None
        Its traits, if it can be read.
    """

    checksum: int = 0
    reason: str = ""
    traits: ImageTraits | None = None

    def as_line(self) -> str:
        told = self.reason if self.traits is None else astuple(self.traits)
        values = json.dumps([self.checksum, told])
        return f"{crc32(values.encode()):08x} {values}\n"

    @classmethod
    def of_line(cls, line: bytes) -> _Outcome | None:
        """Return the outcome that a line tells, or None if the line is damaged."""
        checksum, _, values = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % crc32(values):
            return None
        pixels, told = json.loads(values)
        if isinstance(told, str):
            return cls(reason=told)
        return cls(pixels, traits=ImageTraits(*told))


def write_prepared(
    folder: Path,
    manifest: Manifest,
    square: Square,
    readers: Readers,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Decode the images of a manifest into the files of a prepared set.

    The journal has a line for each image: a checksum of the line, the checksum of the image's
    pixels, and the reason why it can't be read or the values of its traits.

    Parameters
    ----------
    folder : Path
        The folder of the set, which may hold the files of an interrupted preparation.
    manifest : Manifest
    square : Square
        What every image becomes.
    readers : mapping
        Functions for further file suffixes.
    threads : int, optional
        By default one per usable core.
    progress : callable, optional
    """
    total = len(manifest.table)
    with (
        (folder / "images.npy").open("a+b") as images,
        (folder / "journal.jsonl").open("a+b") as journal,
    ):
        outcomes = _resume(images, journal, square.size)
        paths = manifest.table["path"].iloc[len(outcomes) :]
        sources = (os.path.join(manifest.folder, path) for path in paths)  # noqa: PTH118 - fast
        traits: deque[ImageTraits | None] = deque()
        results = stream_images(
            sources, square, readers=readers, threads=threads, on_traits=traits.append
        )
        journalled = len(outcomes)
        for step, batch in enumerate(in_batches(results, _AT_ONCE), start=1):
            for result in batch:
                own = traits.popleft()
                if isinstance(result, RadiographError):
                    outcomes.append(_Outcome(reason=result.reason))
                    continue
                pixels = np.ascontiguousarray(result).data.cast("B")  # uint8, as squares are
                outcomes.append(_Outcome(crc32(pixels), traits=own))
                images.write(pixels)
            if step % _JOURNAL_EVERY == 0 or len(outcomes) == total:
                # The journal must only list images that are already on disk.
                _to_disk(images)
                lines = (outcome.as_line() for outcome in outcomes[journalled:])
                journal.writelines(line.encode() for line in lines)
                _to_disk(journal)
                journalled = len(outcomes)
            if progress:
                progress(len(outcomes), total)
    _finish(folder, manifest, outcomes, square.size)


def _resume(images: BufferedRandom, journal: BinaryIO, size: int) -> list[_Outcome]:
    """Return the outcomes of the images that were written, up to the first damaged one.

    Both files are truncated to these images.
    """
    journal.seek(0)
    images.seek(HEADER_BYTES)
    written = checksums_of(images, size * size)
    outcomes: list[_Outcome] = []
    length = 0
    for line in journal:
        outcome = _Outcome.of_line(line)
        if outcome is None or (outcome.traits and next(written, None) != outcome.checksum):
            break
        outcomes.append(outcome)
        length += len(line)
    journal.truncate(length)
    readable = sum(outcome.traits is not None for outcome in outcomes)
    images.truncate(HEADER_BYTES + readable * size * size if outcomes else 0)
    if not outcomes:
        images.write(_npy_header(0, size))
    return outcomes


def _finish(
    folder: Path,
    manifest: Manifest,
    outcomes: list[_Outcome],
    size: int,
) -> None:
    readable = np.array([outcome.traits is not None for outcome in outcomes], bool)
    reasons = np.array([outcome.reason for outcome in outcomes], object)
    unreadable = manifest.table[["path"]].assign(reason=reasons)[~readable]
    table = manifest.table[readable]
    if table.empty:
        first = unreadable.iloc[0]
        raise DataError(
            f"none of the {len(unreadable)} images can be read; the first:"
            f" {printable(first['path'])} {printable(first['reason'])}"
        )
    write_csv(folder / "images.csv", table[["path"]])
    traits = [outcome.traits for outcome in outcomes if outcome.traits]
    write_csv(folder / "traits.csv", pd.DataFrame(traits))
    write_csv(folder / "unreadable.csv", unreadable)
    with (folder / "images.npy").open("r+b") as images:
        images.write(_npy_header(len(table), size))
        _to_disk(images)
        images.seek(0)
        pixels = hashlib.file_digest(images, "sha256").hexdigest()
    listed = (folder / "images.csv").read_bytes()
    digest = hashlib.sha256(pixels.encode() + listed).hexdigest()
    (folder / "digest.txt").write_text(f"{digest}\n", encoding="ascii")
    write_checksums(folder, [outcome.checksum for outcome in outcomes if outcome.traits])
    (folder / "journal.jsonl").unlink()


def _npy_header(count: int, size: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    )
    # NumPy pads the header so that the count can grow: its length is the same for any count.
    assert len(header.getvalue()) == HEADER_BYTES
    return header.getvalue()


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
