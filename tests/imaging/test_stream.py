"""Statistics of whatever holds radiographs: any order, any threads, killed and gone on."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mura_core import ImageStatistics, Square, resize, stream_images, stream_statistics
from mura_core.errors import DataError, RadiographError
from mura_core.imaging import stream

SQUARE = Square(16)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, random.integers(5, 40, 2), dtype=np.uint8) for _ in range(50)]


@pytest.fixture(scope="module")
def paths(images, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def expected(images) -> ImageStatistics:
    statistics = ImageStatistics()
    for image in images:
        statistics.update(resize(image, SQUARE))
    return statistics


def same(one: ImageStatistics, other: ImageStatistics) -> bool:
    return (
        one.count == other.count
        and one.mean().tobytes() == other.mean().tobytes()
        and one.deviation().tobytes() == other.deviation().tobytes()
    )


def test_paths_contents_files_and_arrays_are_sources(images, paths):
    contents = [path.read_bytes() for path in paths]
    sources = [
        paths,
        [str(path) for path in paths],
        contents,
        [io.BytesIO(content) for content in contents],
        [path.open("rb") for path in paths],
        images,
        (source for source in [paths[0], contents[1], images[2], *paths[3:]]),
    ]
    for some in sources:
        assert same(stream_statistics(some, SQUARE), expected(images))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_neither_order_nor_threads_change_a_bit(images, paths, threads):
    for some in (paths, paths[::-1]):
        assert same(stream_statistics(some, SQUARE, threads=threads), expected(images))


def test_images_come_in_order_and_errors_in_their_place(images, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(paths[0].read_bytes()[:-20])
    results = list(stream_images([paths[0], broken, b"", *paths[1:]], SQUARE, threads=3))
    assert isinstance(results[1], RadiographError)
    assert results[1].path == str(broken)
    assert str(results[2]) == "image 2: is empty (0 bytes)"
    for result, image in zip(results[:1] + results[3:], images, strict=True):
        np.testing.assert_array_equal(result, resize(image, SQUARE))


class Unreadable(io.BytesIO):
    def read(self, *_):
        raise RuntimeError("the disk\nis on fire")


def test_whatever_is_wrong_with_one_image_the_others_are_read(images, paths, monkeypatch):
    monkeypatch.setattr(stream, "resize", out_of_memory_for(images[3].shape))
    sources = [
        paths[0],
        Unreadable(),
        np.zeros((0, 5), np.uint8),
        "nul\0.png",
        images[3],
        images[1],
    ]
    results = list(stream_images(sources, SQUARE))
    reasons = [str(result) for result in results if isinstance(result, RadiographError)]
    assert reasons == [
        "image 1: can't be read (the disk is on fire)",
        "image 2: is uint8 of shape (0, 5), not uint8, uint16 or float32 of shape (H, W)",
        "nul\\x00.png: can't be read (embedded null byte)",
        "image 4: needs more memory than is available",
    ]
    np.testing.assert_array_equal(results[0], resize(images[0], SQUARE))
    np.testing.assert_array_equal(results[5], resize(images[1], SQUARE))


def test_every_name_is_shown_in_one_printable_line(tmp_path):
    for name, shown in (
        ("a\nb.png", "a\\nb.png"),
        ("\x1b[31mred.png", "\\x1b[31mred.png"),
        (os.fsdecode(b"h\xe9.png"), "h\\udce9.png"),
        ("Röntgen 手.png", "Röntgen 手.png"),
    ):
        (error,) = stream_images([tmp_path / name], SQUARE)
        assert str(error) == f"{tmp_path}/{shown}: does not exist"
        assert error.path == str(tmp_path / name)


def out_of_memory_for(shape):
    def resize_or_fail(image, square):
        if image.shape == shape:
            raise MemoryError
        return resize(image, square)

    return resize_or_fail


def test_an_interruption_is_no_fault_of_an_image(paths):
    def stop(path: Path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(stream_images(paths, SQUARE, readers={".png": stop}, threads=1))


def test_few_images_are_held_at_a_time(images):
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield images[0]

    stream = stream_images(endless(), SQUARE, threads=2)
    for taken in range(1, 200):
        next(stream)
        assert drawn - taken <= 8 * (2 + 2)
    stream.close()


def test_what_cannot_be_read_is_raised_or_told(images, paths):
    sources = [*paths, b"no image"]
    with pytest.raises(RadiographError, match="image 50: is not an image"):
        stream_statistics(sources, SQUARE)
    told = []
    assert same(stream_statistics(sources, SQUARE, on_unreadable=told.append), expected(images))
    assert [error.path for error in told] == ["image 50"]


def test_arrays_are_summed_as_they_are_where_no_square_is_wanted():
    random = np.random.default_rng(1)
    reals = random.normal(size=(20, 6, 7)).astype(np.float32)
    statistics = stream_statistics(reals, None)
    np.testing.assert_allclose(statistics.mean(), reals.mean(axis=0, dtype=np.float64), atol=1e-15)
    with pytest.raises(RadiographError, match="use `square=None`"):
        stream_statistics(reals, SQUARE)
    with pytest.raises(RadiographError, match=r"image 1: is int64 of shape \(2,\)"):
        stream_statistics([reals[0], np.array([1, 2])], None)
    with pytest.raises(ValueError, match=r"image 1: shape \(7, 6\) is not \(6, 7\)"):
        stream_statistics([reals[0], reals[1].T], None)


SUM_SLOWLY = """
import sys, time
from pathlib import Path
import mura_core.imaging.stream as streaming
from mura_core import Square
streaming._SAVE_EVERY = 1
def slowly(done, total):
    print(done, flush=True)
    time.sleep(0.02)
if __name__ == "__main__":
    streaming.stream_statistics(
        sorted(Path(sys.argv[1]).iterdir()), Square(16), checkpoint=Path(sys.argv[2]),
        progress=slowly, on_unreadable=lambda error: None,
    )
"""


@pytest.mark.parametrize("after", [8, 32])
def test_a_killed_pass_goes_on_from_its_checkpoint(images, paths, tmp_path, after):
    checkpoint = tmp_path / "sums.npz"
    command = [sys.executable, "-c", SUM_SLOWLY, str(paths[0].parent), str(checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == after:
                process.send_signal(signal.SIGKILL)
    done = []
    again = stream_statistics(
        paths, SQUARE, checkpoint=checkpoint, progress=lambda seen, total: done.append(seen)
    )
    assert done[0] == after + 8
    assert same(again, expected(images))
    # What is complete is not read again; more may be added.
    done.clear()
    paths_and_one = [*paths, paths[0]]
    more = stream_statistics(
        paths_and_one, SQUARE, checkpoint=checkpoint, progress=lambda seen, _: done.append(seen)
    )
    assert done == [51]
    assert same(more, expected([*images, images[0]]))


def test_a_checkpoint_remembers_what_was_left_out(paths, tmp_path):
    checkpoint = tmp_path / "sums.npz"
    for _ in range(2):
        told = []
        stream_statistics(
            [b"no image", *paths], SQUARE, checkpoint=checkpoint, on_unreadable=told.append
        )
        assert [error.path for error in told] == ["image 0"]


def test_a_checkpoint_of_other_images_is_refused(images, paths, tmp_path):
    checkpoint = tmp_path / "sums.npz"
    stream_statistics(paths, SQUARE, checkpoint=checkpoint)
    for sources, square in (
        (paths[::-1], SQUARE),
        (paths[:-1], SQUARE),
        (paths, Square(17)),
        (images, SQUARE),
    ):
        with pytest.raises(DataError, match=r"sums\.npz: is a checkpoint of different images"):
            stream_statistics(sources, square, checkpoint=checkpoint)
    checkpoint.write_bytes(b"PK\3\4 and so on")
    with pytest.raises(DataError, match=r"sums\.npz: is not a valid checkpoint"):
        stream_statistics(paths, SQUARE, checkpoint=checkpoint)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_checkpoint_loses_nothing(dtype, tmp_path):
    # Among these floats are sums that a pair of float64 can't hold.
    random = np.random.default_rng(2)
    images = random.integers(1, 99, (12, 3, 3)).astype(dtype)
    if dtype == np.float32:
        images *= np.float32(2) ** random.integers(-140, 120, images.shape).astype(np.float32)
    whole = stream_statistics(images, None)
    checkpoint = tmp_path / "sums.npz"
    stream_statistics(images[:7], None, checkpoint=checkpoint)
    assert same(stream_statistics(images, None, checkpoint=checkpoint), whole)
