"""Stream radiographs from files, bytes or arrays, with only a few in memory at a time."""

from __future__ import annotations

import hashlib
import json
import operator
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mura_core.cores import usable_cores
from mura_core.errors import CheckpointError, RadiographError
from mura_core.files import replacing
from mura_core.imaging.identity import file_identity
from mura_core.imaging.levels import Chroma
from mura_core.imaging.png.inflate import crc32
from mura_core.imaging.radiograph import NO_READERS, Readers, only_of_this_image, read_radiograph
from mura_core.imaging.resizing import resize
from mura_core.imaging.square import STANDARD_SQUARE, Square
from mura_core.imaging.statistics import ImageStatistics
from mura_core.imaging.traits import ImageTraits, traits_of
from mura_core.progress import Progress

# Path or content of an image file, a file opened in binary mode, or an array of pixels.
Source: TypeAlias = str | Path | bytes | BinaryIO | NDArray[Any]
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
_Outcome: TypeAlias = tuple[Pixels | RadiographError, ImageTraits | None]
Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 8  # images per thread task, and per step of the sums
_SAVE_EVERY = 256  # steps


def stream_images(
    sources: Iterable[Source],
    square: Square | None = STANDARD_SQUARE,
    *,
    readers: Readers = NO_READERS,
    threads: int | None = None,
    on_traits: Callable[[ImageTraits | None], None] | None = None,
) -> Iterator[Pixels | RadiographError]:
    """Yield the image of each source, in order, or an error if it can't be read.

    At most 8 * (threads + 2) images are in memory at a time, or threads + 2 if `square` is None.

    Parameters
    ----------
    sources : iterable
        Paths, contents of files (bytes), files opened in binary mode, or arrays of shape (H, W),
        uint8 or uint16, or float32 if `square` is None.
    square : Square or None
        Size, interpolation and aspect-ratio handling; None keeps images at their original size.
    readers : mapping, optional
        Functions that read further file formats, by suffix.
    threads : int, optional
        Number of threads; by default the number of available CPU cores. The result doesn't depend
        on it.
    on_traits : callable, optional
        Called before each image with its traits as it was read, or with None if it can't be read.

    Yields
    ------
    ndarray or RadiographError
        An array of shape (size, size), uint8, or the original array if `square` is None. An image
        that can't be read yields the error that gives the reason.
    """
    threads = threads or usable_cores()
    size = 1 if square is None else _AT_ONCE
    tasks = in_batches(enumerate(sources), size)

    measures = on_traits is not None

    def read(batch: list[tuple[int, Source]]) -> list[_Outcome]:
        return [
            _read(source, f"image {number}", square, readers, measures=measures)
            for number, source in batch
        ]

    for image, traits in _in_threads(read, tasks, threads):
        if on_traits is not None:
            on_traits(traits)
        yield image


def _in_threads(
    work: Callable[[Item], Iterable[Result]], tasks: Iterator[Item], threads: int
) -> Iterator[Result]:
    """Yield the results of all tasks, in their order."""
    if threads == 1:
        for task in tasks:
            yield from work(task)
        return
    # Threads share only the queue: each image is processed in separate memory.
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Iterable[Result]]] = deque()
        running.extend(pool.submit(work, task) for task in islice(tasks, threads + 1))
        try:
            while running:
                results = running.popleft().result()
                running.extend(pool.submit(work, task) for task in islice(tasks, 1))
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


def stream_statistics(
    sources: Iterable[Source],
    square: Square | None = STANDARD_SQUARE,
    *,
    readers: Readers = NO_READERS,
    threads: int | None = None,
    on_unreadable: Callable[[RadiographError], None] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> ImageStatistics:
    """Return the exact sums of all images, in a single pass and constant memory.

    The result is bit-identical for any order of the sources and any number of threads.

    Parameters
    ----------
    sources, square, readers, threads
        See `stream_images`.
    on_unreadable : callable, optional
        Called with the error of each image that can't be read, which is then left out. By default,
        the first such error is raised.
    checkpoint : Path, optional
        File to which the sums are saved regularly and at the end. If it exists, the pass resumes
        from it: the sources already processed must be the same, in the same order, and aren't read
        again.
    progress : callable, optional
        Called with the number of sources done and the total (0 if `sources` has no length).

    Returns
    -------
    ImageStatistics

    Raises
    ------
    RadiographError
        An image can't be read, and `on_unreadable` isn't given.
    CheckpointError
        The checkpoint is invalid or of different images.
    DataError
        A pixel is NaN or infinite.
    ValueError
        `square` is None, and the images have different shapes or kinds of dtype.
    """
    total = operator.length_hint(sources)
    waiting = iter(sources)
    done = _Pass(checkpoint, square)
    done.skip_seen(waiting)
    for error in done.left_out:
        _leave_out(error, on_unreadable)
    marks: deque[str] = deque()

    def marked() -> Iterator[Source]:
        for source in waiting:
            if checkpoint is not None:
                marks.append(_mark(source))
            yield source

    images = stream_images(marked(), square, readers=readers, threads=threads)
    for step, results in enumerate(in_batches(images, _AT_ONCE), start=1):
        readable = []
        for result in results:
            if isinstance(result, RadiographError):
                _leave_out(result, on_unreadable)
                done.left_out.append(result)
            else:
                readable.append(result)
        first = done.seen
        if square is None:
            for number, image in enumerate(readable, start=first):
                done.sums.update(image, f"image {number}")
        elif readable:
            done.sums.update_all(np.stack(readable))
        done.seen += len(results)
        done.remember(marks, len(results))
        if step % _SAVE_EVERY == 0:
            done.save()
        if progress:
            progress(done.seen, total)
    done.save()
    return done.sums


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of a given size; the last list may be shorter.

    Parameters
    ----------
    items : iterable
        The items.
    size : int
        Length of the lists.

    Yields
    ------
    list
    """
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch


class _Pass:
    """State of a pass over sources, and its checkpoint file."""

    def __init__(self, file: Path | None, square: Square | None) -> None:
        self.sums = ImageStatistics()
        self.seen = 0
        self.left_out: list[RadiographError] = []
        self._file = file
        self._digest = hashlib.sha256(str(square).encode()).hexdigest()
        self._saved_digest = self._digest
        if file is not None and file.exists():
            self._load(file)

    def skip_seen(self, sources: Iterator[Source]) -> None:
        digest = self._digest
        skipped = 0
        for source in islice(sources, self.seen):
            digest = _chained(digest, _mark(source))
            skipped += 1
        if skipped != self.seen or digest != self._saved_digest:
            raise CheckpointError(
                f"{self._file}: is a checkpoint of different images or of another size or method;"
                " delete it to start again"
            )
        self._digest = digest

    def remember(self, marks: deque[str], count: int) -> None:
        if self._file is not None:
            for _ in range(count):
                self._digest = _chained(self._digest, marks.popleft())

    def save(self) -> None:
        if self._file is None:
            return
        about = {
            "seen": self.seen,
            "digest": self._digest,
            "left_out": [[error.path, error.reason] for error in self.left_out],
        }
        with replacing(self._file, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **self.sums.state())  # type: ignore[arg-type]

    def _load(self, file: Path) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
            with np.load(file, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                self.sums = ImageStatistics.from_state(arrays)
                self.seen = int(about["seen"])
                self._saved_digest = str(about["digest"])
                self.left_out = [RadiographError(*pair) for pair in about["left_out"]]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{file}: is not a valid checkpoint ({error}); delete it"
            ) from None


def _leave_out(
    error: RadiographError, on_unreadable: Callable[[RadiographError], None] | None
) -> None:
    if on_unreadable is None:
        raise error
    on_unreadable(error)


def _read(
    source: Source, name: str, square: Square | None, readers: Readers, *, measures: bool
) -> _Outcome:
    """Return an image, or why it can't be read, and its traits if they are measured."""
    chroma = Chroma() if measures else None
    try:
        with only_of_this_image(_shown(source, name)):
            depth = 16 if square is None else square.bit_depth
            image = _pixels(source, name, readers, depth, chroma)
            if square is not None and image.dtype == np.float32:
                raise RadiographError(name, "is float32, which can't be resized; use `square=None`")
            is_integer = image.dtype != np.float32
            traits = traits_of(image, chroma.mean) if chroma and is_integer else None
            return (image if square is None else resize(image, square)), traits  # type: ignore[arg-type]
    except RadiographError as error:
        return error, None


def _pixels(
    source: Source, name: str, readers: Readers, bit_depth: int, chroma: Chroma | None
) -> Pixels:
    if isinstance(source, str | Path):
        return read_radiograph(source, readers=readers, bit_depth=bit_depth, chroma=chroma)
    if isinstance(source, bytes):
        return read_radiograph(source, name, readers, bit_depth, chroma)
    if isinstance(source, np.ndarray):
        known = source.dtype in (np.uint8, np.uint16, np.float32)
        if source.ndim != 2 or source.size == 0 or not known:
            raise RadiographError(
                name,
                f"is {source.dtype} of shape {source.shape}, not uint8, uint16 or float32 of"
                " shape (H, W)",
            )
        return source
    return read_radiograph(source.read(), _shown(source, name), readers, bit_depth, chroma)


def _shown(source: Source, name: str) -> str:
    """Return the name of a source in error messages."""
    if isinstance(source, str | Path):
        return str(source)
    return name if isinstance(source, bytes | np.ndarray) else str(getattr(source, "name", name))


def _mark(source: Source) -> str:
    """Return a string that identifies a source, without reading whole files."""
    if isinstance(source, str | Path):
        return f"{source} {file_identity(source)}"
    if isinstance(source, bytes):
        return f"{len(source)} bytes {crc32(source)}"
    if isinstance(source, np.ndarray):
        pixels = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
        return f"{source.dtype} {source.shape} {crc32(pixels.data)}"
    return str(getattr(source, "name", "file"))


def _chained(digest: str, mark: str) -> str:
    return hashlib.sha256(f"{digest} {mark}".encode(errors="backslashreplace")).hexdigest()
