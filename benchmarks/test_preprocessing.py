"""What reading, resizing and summing radiographs costs, beside the peers that are installed.

The unit is CPU time for the same 200 images, whose files are in memory: phantoms, or, where
MURA_DATA is set, real radiographs. pytest-benchmark prints the ratios in brackets; on a noisy
machine they are what to look at.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mura_core.data import cache_folder
from mura_core.manifest import read_manifest
from mura_core.phantoms import phantom_folder
from mura_core.radiographs import read_radiograph, resize
from mura_core.statistics import ImageStatistics

SIZE = 224
COUNT = 200

Function = Callable[..., Any]


@pytest.fixture(scope="session")
def contents() -> list[bytes]:
    """The files of 200 images, spread evenly over the data set."""
    if "MURA_DATA" in os.environ:
        folder = Path(os.environ["MURA_DATA"]) / "fracatlas"
    else:
        folder = phantom_folder(cache_folder())
    manifest = read_manifest(folder)
    paths = manifest.table["path"].iloc[:: max(1, len(manifest.table) // COUNT)][:COUNT]
    return [(manifest.folder / path).read_bytes() for path in paths]


def measure(benchmark: Any, function: Function, *arguments: Any) -> Any:
    return benchmark.pedantic(function, arguments, rounds=7, warmup_rounds=1)


def group(name: str) -> Any:
    return pytest.mark.benchmark(group=name, timer=time.process_time)


# Readers: the content of a file to a grey image.


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L"))


def by_opencv(content: bytes) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)


def by_imagecodecs(content: bytes) -> np.ndarray:
    pixels = pytest.importorskip("imagecodecs").png_decode(content)
    return pixels if pixels.ndim == 2 else pixels[..., 0]


READERS = {
    "mura": read_radiograph,
    "pillow": by_pillow,
    "opencv": by_opencv,
    "imagecodecs": by_imagecodecs,
}


@group("read")
@pytest.mark.parametrize("reader", READERS)
def test_read(benchmark, contents, reader):
    read = READERS[reader]
    read(contents[0])
    measure(benchmark, lambda: [read(content) for content in contents])


# Resizing: a grey image to a square.


def resize_by_pillow(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


def resize_by_opencv(image: np.ndarray, size: int) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


RESIZERS = {"mura": resize, "pillow": resize_by_pillow, "opencv": resize_by_opencv}


@group("resize by area")
@pytest.mark.parametrize("resizer", RESIZERS)
def test_resize(benchmark, contents, resizer):
    images = [by_pillow(content) for content in contents]
    function = RESIZERS[resizer]
    function(images[0], SIZE)
    measure(benchmark, lambda: [function(image, SIZE) for image in images])


# Sums: squares to the mean and the deviation image.


def statistics_by_mura(images: list[np.ndarray]) -> np.ndarray:
    sums = ImageStatistics()
    for image in images:
        sums.update(image)
    return sums.deviation()


def statistics_by_welford(images: list[np.ndarray]) -> np.ndarray:
    mean = np.zeros(images[0].shape)
    squares = np.zeros(images[0].shape)
    for count, image in enumerate(images, start=1):
        difference = image - mean
        mean += difference / count
        squares += difference * (image - mean)
    return np.sqrt(squares / (len(images) - 1))


def statistics_by_numpy(images: list[np.ndarray]) -> np.ndarray:
    return np.stack(images).astype(np.float64).std(axis=0, ddof=1)


SUMMERS = {
    "mura": statistics_by_mura,
    "welford in numpy": statistics_by_welford,
    "numpy, all in memory": statistics_by_numpy,
}


@group("mean and deviation")
@pytest.mark.parametrize("summer", SUMMERS)
def test_sums(benchmark, contents, summer):
    # Five times the images, as in a larger set the exact end weighs less.
    images = [resize(by_pillow(content), SIZE) for content in contents] * 5
    deviation = measure(benchmark, SUMMERS[summer], images)
    np.testing.assert_allclose(deviation, statistics_by_numpy(images), rtol=1e-9)


# The whole pass: files to the mean and the deviation image.

PASSES = {
    "mura": (read_radiograph, resize, statistics_by_mura),
    "pillow + welford": (by_pillow, resize_by_pillow, statistics_by_welford),
    "opencv + welford": (by_opencv, resize_by_opencv, statistics_by_welford),
}


@group("whole pass")
@pytest.mark.parametrize("name", PASSES)
def test_whole_pass(benchmark, contents, name):
    read, make_square, statistics = PASSES[name]
    make_square(read(contents[0]), SIZE)

    def whole_pass() -> np.ndarray:
        return statistics([make_square(read(content), SIZE) for content in contents])

    measure(benchmark, whole_pass)
