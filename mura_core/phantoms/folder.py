"""Write the phantom data set to disk, in MURA's layout."""

from __future__ import annotations

import csv
import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from mura_core.cores import usable_cores
from mura_core.files import remove_leftovers, temporary_sibling
from mura_core.phantoms.drawing import draw_image
from mura_core.phantoms.findings import Box
from mura_core.phantoms.plan import PATIENT_PAIRS, ROOT, PlannedImage, plan_images

VERSION = 3  # Increase it whenever a file changes, so that cached phantoms are drawn again.

README = """\
These radiographs are phantoms, drawn by a computer program for trying software without data.
They show no patient and support no diagnosis.
"""

_IMAGES_A_TASK = 16
_CHECKSUMS = "checksums.json"  # of all files, next to the folder of the data

log = logging.getLogger("mura")


def phantom_folder(
    cache_folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Return the folder of the phantoms, drawing them if they aren't cached.

    Parameters
    ----------
    cache_folder : Path
        Created if it doesn't exist. The phantoms are in a subfolder.
    progress : callable, optional
        Called with the number of images drawn and the total.

    Returns
    -------
    Path
        The folder `PHANTOMS`, in MURA's layout. Its `boxes.csv` has the ground-truth boxes of the
        findings, its `letters.csv` those of the burnt-in text, in pixels of the original images.
    """
    finished = cache_folder / f"phantoms-{VERSION}"
    if finished.is_dir() and (damage := damage_of_phantoms(finished)):
        log.warning("%s: %s, so the phantoms are drawn again", finished, damage)
        shutil.rmtree(finished)
    if not finished.is_dir():
        cache_folder.mkdir(parents=True, exist_ok=True)
        scratch = temporary_sibling(cache_folder / "drawing")
        remove_leftovers(cache_folder)
        try:
            unfinished = scratch / finished.name
            _draw_all(unfinished, progress)
            try:
                unfinished.rename(finished)
            except OSError:
                # Another process may have drawn the same images in the meantime.
                if not finished.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    with suppress(OSError):
        os.utime(finished)  # `mura-run cache` shows when they were used last
    return finished / ROOT


def damage_of_phantoms(folder: Path) -> str | None:
    """Return what is damaged in drawn phantoms, such as "PHANTOMS/boxes.csv is missing", or None.

    Parameters
    ----------
    folder : Path
        The folder that holds the folder `PHANTOMS`, with the checksums of all its files.
    """
    try:
        known = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
        if f"{ROOT}/README.txt" not in known:  # written last
            return f"{_CHECKSUMS} is damaged"
        for name, checksum in known.items():
            if zlib.crc32((folder / name).read_bytes()) != checksum:
                return f"{name} is damaged"
    except FileNotFoundError as error:
        return f"{os.path.relpath(error.filename, folder)} is missing"
    except OSError as error:
        return f"{error.filename} can't be read: {error.strerror}"
    except (ValueError, TypeError, AttributeError):
        return f"{_CHECKSUMS} is damaged"
    return None


def write_phantoms(folder: Path, count: int, *, valid: int) -> Path:
    """Draw a small part of the data set, in this process, and return its folder.

    Parameters
    ----------
    folder : Path
        The output folder.
    count, valid : int
        Number of training and of validation images, half of each label (rounded up).

    Returns
    -------
    Path
        The folder `PHANTOMS`. Its only CSV is `boxes.csv`; the images' paths give the labels.
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
    # Drawing consists of many small array operations, so threads would wait for the interpreter
    # lock. Processes are spawned: a forked process would copy locks held by TensorFlow's threads
    # and wait for them forever.
    pool = ProcessPoolExecutor(
        usable_cores(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_the_parent,
    )
    try:
        # Results are in the order of the plan.
        drawn = pool.map(partial(_draw_and_save, folder), images, chunksize=_IMAGES_A_TASK)
        for done, (planned, (box, texts)) in enumerate(zip(images, drawn, strict=True), start=1):
            if box is not None:
                findings.append((planned.path, *box))
            letters += [(planned.path, *text_box, text) for text_box, text in texts]
            if progress is not None:
                progress(done, len(images))
    finally:
        # Wait for running tasks, so that no image is saved after the folder is removed.
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
    checksums = {
        path.relative_to(folder).as_posix(): zlib.crc32(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / _CHECKSUMS).write_text(json.dumps(checksums), encoding="utf-8")


def _draw_and_save(folder: Path, planned: PlannedImage) -> tuple[Box | None, list[tuple[Box, str]]]:
    """Draw and save an image; return the finding's box and the letters.

    The pixels aren't returned, which saves transferring them between processes.
    """
    drawing = draw_image(planned)
    drawing.picture.save(folder / planned.path, compress_level=1)
    return drawing.box, drawing.letters


def _follow_the_parent() -> None:
    """Ignore Ctrl-C, which the parent handles, and exit when the parent exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    # Without this, the processes of a killed parent would wait for tasks forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_csv(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
