"""The folder: the data set on disk, in MURA's layout."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from mura_core.cores import usable_cores
from mura_core.phantoms.drawing import draw_image
from mura_core.phantoms.findings import Box
from mura_core.phantoms.plan import PATIENT_PAIRS, ROOT, PlannedImage, plan_images

VERSION = 3  # Raise it whenever any file changes: old phantoms must not pass for new ones.

README = """\
These radiographs are phantoms, drawn by a computer program for trying software without data.
They show no patient and support no diagnosis.
"""

_IMAGES_A_TASK = 16


def phantom_folder(
    cache_folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Return the folder of the drawn phantoms; draw them first where they aren't there yet.

    Parameters
    ----------
    cache_folder : Path
        Made if it doesn't exist; the phantoms take a folder of their own inside it.
    progress : callable, optional
        Called with the number of images drawn so far and the number of all images.

    Returns
    -------
    Path
        The folder `PHANTOMS`, in MURA's layout. Its `boxes.csv` holds the true box of each
        finding, its `letters.csv` those of the burnt-in text, in the image's own pixels.
    """
    finished = cache_folder / f"phantoms-{VERSION}"
    if not finished.is_dir():
        cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="drawing-", dir=cache_folder) as scratch:
            unfinished = Path(scratch) / finished.name
            _draw_all(unfinished, progress)
            try:
                unfinished.rename(finished)
            except OSError:
                # Someone else may have drawn the same images meanwhile: theirs will do.
                if not finished.is_dir():
                    raise
    return finished / ROOT


def write_phantoms(folder: Path, count: int, *, valid: int) -> Path:
    """Draw a few of the phantoms only, in this process, and return their folder.

    Parameters
    ----------
    folder : Path
    count, valid : int
        Images to train on, and to judge; of both labels.

    Returns
    -------
    Path
        A folder without CSVs but `boxes.csv`: the images' paths give the labels.
    """
    images = plan_images()
    wanted = [
        *_half_of_each_label(images, "train", count),
        *_half_of_each_label(images, "valid", valid),
    ]
    findings: list[tuple[object, ...]] = []
    for planned in wanted:
        (folder / planned.study_path).mkdir(parents=True, exist_ok=True)
        box, _ = _draw_and_save(folder, planned)
        findings += [] if box is None else [(planned.path, *box)]
    _write_csv(folder / ROOT / "boxes.csv", [("path", *Box._fields), *findings])
    return folder / ROOT


def _half_of_each_label(images: list[PlannedImage], split: str, count: int) -> list[PlannedImage]:
    of_split = [planned for planned in images if planned.split == split]
    by_label = [[one for one in of_split if bool(one.finding) == label] for label in (False, True)]
    return [one for some in by_label for one in some[: -(-count // 2)]]


def _draw_all(folder: Path, progress: Callable[[int, int], None] | None) -> None:
    images = plan_images()
    for study_path in {planned.study_path for planned in images}:
        (folder / study_path).mkdir(parents=True)

    findings: list[tuple[object, ...]] = []
    letters: list[tuple[object, ...]] = []
    # Drawing is many small array operations, so threads wait for the interpreter lock; processes
    # don't. They are spawned: a fork would copy the locks that TensorFlow's threads may hold, and
    # wait for them for ever.
    pool = ProcessPoolExecutor(
        usable_cores(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_the_parent,
    )
    try:
        # In the order of the plan, whichever process is done first.
        drawn = pool.map(partial(_draw_and_save, folder), images, chunksize=_IMAGES_A_TASK)
        for done, (planned, (box, texts)) in enumerate(zip(images, drawn, strict=True), start=1):
            if box is not None:
                findings.append((planned.path, *box))
            letters += [(planned.path, *text_box, text) for text_box, text in texts]
            if progress is not None:
                progress(done, len(images))
    finally:
        # Waits for the images being drawn, so that none is saved after the folder is removed.
        pool.shutdown(cancel_futures=True)

    data = folder / ROOT
    for split in PATIENT_PAIRS:
        of_split = [planned for planned in images if planned.split == split]
        labels = {planned.study_path: int(planned.finding is not None) for planned in of_split}
        _write_csv(data / f"{split}_image_paths.csv", ((planned.path,) for planned in of_split))
        _write_csv(data / f"{split}_labeled_studies.csv", labels.items())
    _write_csv(data / "boxes.csv", [("path", *Box._fields), *findings])
    _write_csv(data / "letters.csv", [("path", *Box._fields, "text"), *letters])
    (data / "README.txt").write_text(README, encoding="utf-8", newline="\n")


def _draw_and_save(folder: Path, planned: PlannedImage) -> tuple[Box | None, list[tuple[Box, str]]]:
    """Return the finding's box and the letters of an image drawn into the folder.

    The pixels stay out of what one process hands to the other.
    """
    drawing = draw_image(planned)
    drawing.picture.save(folder / planned.path, compress_level=1)
    return drawing.box, drawing.letters


def _follow_the_parent() -> None:
    """Leave Ctrl-C, which reaches every process, to the parent, and end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    # A killed parent can't say that there is no more to do: its processes would wait for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_csv(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
