"""Show how a data set is read, and write it as a CSV that can be edited and given back."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mura_core.data import (
    COLUMNS,
    FINDINGS,
    Manifest,
    Reading,
    as_table,
    count,
    read_boxes,
    read_manifest,
)
from mura_core.errors import DataError, UsageError, printable
from mura_core.files import refuse_unwritable, write_csv
from mura_core.pipeline.data import say_contradictions
from mura_core.pipeline.left_out import say_left_out

log = logging.getLogger("mura")

_EXAMPLES = 10
_SHOWN_CHARACTERS = 60  # of a path


def understand(
    data: Path, reading: Reading, *, out: Path | None = None, coco: Path | None = None
) -> Manifest:
    """Log how a data set is read, with examples and counts, and write it as a CSV.

    Parameters
    ----------
    data : Path
        Folder of radiographs or CSV file.
    reading : Reading
        The columns of a CSV, the labels that mean abnormal, and whether paths may lead outside.
    out : Path, optional
        CSV file to write, with paths relative to its folder where they are below it. If the data
        has boxes of findings, `boxes.csv` is written next to it.
    coco : Path, optional
        JSON file in COCO's format with the boxes of findings.

    Raises
    ------
    UsageError
        A file to write exists, or can't be written.
    DataError
        The data isn't understood.
    """
    if out is not None:
        for path in (out, out.parent / FINDINGS):
            if path.exists() and (path == out or coco is not None):
                raise UsageError(f"--out {out}: {path} exists; name another file or move it")
        refuse_unwritable(out)
    if coco is not None and not coco.is_file():
        raise DataError(f"--coco {coco}: no such file")
    manifest = read_manifest(data, split=False, reading=reading)
    boxes = _boxes(manifest, coco)
    _say(data, manifest, boxes)
    if out is not None:
        _write(manifest, boxes, out)
    return manifest


def _say(data: Path, manifest: Manifest, boxes: pd.DataFrame) -> None:
    table = manifest.table
    if not manifest.names_split:
        table = table.assign(split="-")
    log.info("Data: %s, read as %s\n", data, manifest.layout)
    examples = table.iloc[np.unique(np.linspace(0, len(table) - 1, _EXAMPLES).round().astype(int))]
    shown = examples.assign(path=[_shortened(path) for path in examples["path"]])
    log.info("%s\n\n%s\n", shown.to_string(index=False), count(table).to_string(index=False))
    for note in manifest.notes:
        log.info("%s", note)
    if not manifest.names_split:
        log.info("The data names no split: a run deals a fifth of the patients to validation.")
    if len(boxes):
        log.info("Boxes of findings: %d, in %d images.", len(boxes), boxes["path"].nunique())
    left_out = as_table(manifest.left_out, manifest.folder)
    say_left_out(as_table(()), 0, manifest.left_out, manifest.folder, listed_in="by --verbose")
    for path, reason in left_out.itertuples(index=False):
        log.debug("Left out: %s", printable(f"{path} {reason}"))
    missing = [path for path in table["path"] if not (manifest.folder / path).is_file()]
    if missing:
        log.warning(
            "%d of %d images are missing, for example %s",
            len(missing), len(table), manifest.folder / missing[0],
        )  # fmt: skip
    say_contradictions(manifest, "--verbose lists them")


def _shortened(path: str) -> str:
    return path if len(path) <= _SHOWN_CHARACTERS else "..." + path[3 - _SHOWN_CHARACTERS :]


def _boxes(manifest: Manifest, coco: Path | None) -> pd.DataFrame:
    boxes = read_boxes(manifest, FINDINGS, coco)
    rows = [(path, *box) for path, of_image in boxes.items() for box in of_image]
    return pd.DataFrame(rows, columns=["path", "x0", "y0", "x1", "y1"])


def _write(manifest: Manifest, boxes: pd.DataFrame, out: Path) -> None:
    columns = COLUMNS if manifest.names_split else COLUMNS[:-1]
    paths = {path: _from(out.parent, manifest.folder / path) for path in manifest.table["path"]}
    write_csv(out, manifest.table[columns].assign(path=manifest.table["path"].map(paths)))
    outside = any(Path(path).is_absolute() for path in paths.values())
    log.info(
        "\nWrote %d images to %s. Edit it, then: mura-run --data %s%s",
        len(manifest.table), out, out, " --allow-outside" * outside,
    )  # fmt: skip
    beside = out.parent / FINDINGS
    if len(boxes) and not beside.exists():
        write_csv(beside, boxes.assign(path=boxes["path"].map(paths)))
        log.info("Wrote their boxes to %s.", beside)


def _from(folder: Path, path: Path) -> str:
    """Return a path relative to a folder if it lies below it, otherwise absolute."""
    for start, full in ((folder.absolute(), path.absolute()), (folder.resolve(), path.resolve())):
        if full.is_relative_to(start):
            return full.relative_to(start).as_posix()
    return path.absolute().as_posix()
