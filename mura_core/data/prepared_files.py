"""Write the files of a prepared set, so that an interrupted preparation can resume."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import deque
from dataclasses import astuple
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import pandas as pd

from mura_core.data.manifest import Manifest
from mura_core.errors import DataError, RadiographError, printable
from mura_core.files import write_csv
from mura_core.imaging import ImageTraits, Readers, Square, in_batches, stream_images
from mura_core.progress import Progress

_Outcome: TypeAlias = str | ImageTraits  # the reason why an image can't be read, or its traits

_HEADER_BYTES = 128


_AT_ONCE = 8  # images written at a time


_JOURNAL_EVERY = 128  # such batches; at most this much work is lost by an interruption


def write_prepared(
    folder: Path,
    manifest: Manifest,
    square: Square,
    readers: Readers,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Decode the images of a manifest into the files of a prepared set.

    The journal has a line for each image, in JSON: the reason why it can't be read, or the
    values of its traits.

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
        (folder / "journal.jsonl").open("a+", encoding="utf-8") as journal,
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
            readable = [image for image in batch if not isinstance(image, RadiographError)]
            for result in batch:
                own = traits.popleft()
                outcome = result.reason if isinstance(result, RadiographError) else own
                assert outcome is not None, "what can be read is measured"
                outcomes.append(outcome)
            if readable:
                images.write(np.stack(readable).data)  # all uint8, as squares are
            if step % _JOURNAL_EVERY == 0 or len(outcomes) == total:
                # The journal must only list images that are already on disk.
                _to_disk(images)
                journal.writelines(_as_line(outcome) for outcome in outcomes[journalled:])
                _to_disk(journal)
                journalled = len(outcomes)
            if progress:
                progress(len(outcomes), total)
    _finish(folder, manifest, outcomes, square.size)


def _as_line(outcome: _Outcome) -> str:
    values = outcome if isinstance(outcome, str) else astuple(outcome)
    return json.dumps(values) + "\n"


def _of_line(line: str) -> _Outcome:
    values = json.loads(line)
    return values if isinstance(values, str) else ImageTraits(*values)


def _resume(images: IO[bytes], journal: IO[str], size: int) -> list[_Outcome]:
    """Return the outcomes in the journal, and truncate `images` to the images listed in it."""
    journal.seek(0)
    lines = journal.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    journal.truncate(sum(len(line.encode()) for line in whole))
    outcomes = [_of_line(line) for line in whole]
    readable = sum(isinstance(outcome, ImageTraits) for outcome in outcomes)
    images.truncate(0 if not outcomes else _HEADER_BYTES + readable * size * size)
    if not outcomes:
        images.write(_npy_header(0, size))
    return outcomes


def _finish(
    folder: Path,
    manifest: Manifest,
    outcomes: list[_Outcome],
    size: int,
) -> None:
    traits = [outcome for outcome in outcomes if isinstance(outcome, ImageTraits)]
    reasons = [outcome if isinstance(outcome, str) else None for outcome in outcomes]
    reason = pd.Series(reasons, index=manifest.table.index, dtype="object")
    unreadable = manifest.table[["path"]].assign(reason=reason)[reason.notna()]
    table = manifest.table[reason.isna()]
    if table.empty:
        first = unreadable.iloc[0]
        raise DataError(
            f"none of the {len(unreadable)} images can be read; the first:"
            f" {printable(first['path'])} {printable(first['reason'])}"
        )
    write_csv(folder / "images.csv", table[["path"]])
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
    (folder / "journal.jsonl").unlink()


def _npy_header(count: int, size: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    )
    # NumPy pads the header so that the count can grow: its length is the same for any count.
    assert len(header.getvalue()) == _HEADER_BYTES
    return header.getvalue()


def _to_disk(file: IO[bytes] | IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
