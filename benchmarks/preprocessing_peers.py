"""What reading, resizing, summing and the memory map cost: ours, and each peer's way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image
from work import SIZE, Data, Maker, Work

from mura_core import ImageStatistics, Square, read_radiograph, resize, stream_statistics
from mura_core.imaging.png._chunks import parse

# Reading: the content of a file to a grey image -------------------------------------------------


def over_contents(read: Callable[[bytes], Any], data: Data) -> Work:
    contents = data.contents()
    return lambda: [read(content) for content in contents]


def read_by_mura(data: Data) -> Work:
    return over_contents(read_radiograph, data)


def pillow_grey(content: bytes | str) -> Image.Image:
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        return image.convert("L")


def read_by_pillow(data: Data) -> Work:
    return over_contents(lambda content: np.asarray(pillow_grey(content)), data)


def read_by_opencv(data: Data) -> Work:
    import cv2

    return over_contents(
        lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE), data
    )


def grey_of(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def read_by_imagecodecs(data: Data) -> Work:
    import imagecodecs

    return over_contents(lambda content: grey_of(imagecodecs.png_decode(content)), data)


def read_by_spng(data: Data) -> Work:
    import imagecodecs

    return over_contents(lambda content: grey_of(imagecodecs.spng_decode(content)), data)


def kornia_read(path: str) -> np.ndarray:
    import kornia_rs

    try:
        return kornia_rs.io.read_image_png_u8(path, "mono")[..., 0]
    except Exception:  # of no class of its own: the file isn't grey
        return kornia_rs.imgproc.gray_from_rgb(kornia_rs.io.read_image_png_u8(path, "rgb"))[..., 0]


def read_by_kornia(data: Data) -> Work:
    paths = data.paths
    kornia_read(paths[0])
    return lambda: [kornia_read(path) for path in paths]


def read_by_tensorflow(data: Data) -> Work:
    import tensorflow as tf

    return over_contents(lambda content: tf.io.decode_png(content, channels=1), data)


def inflate_alone(data: Data) -> Work:
    """The floor: libdeflate on the compressed pixels, and nothing else."""
    import deflate

    streams = []
    for content in data.contents():
        (width, height, depth, colour_type, _), stream, _, _ = parse(content)
        channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
        streams.append((stream, (1 + width * channels * depth // 8) * height))

    def work() -> None:
        for stream, size in streams:
            deflate.zlib_decompress(stream, size)

    return work


# Resizing: a grey image to a square -------------------------------------------------------------


def over_images(function: Callable[[np.ndarray], Any], data: Data) -> Work:
    images = [read_radiograph(path) for path in data.paths]
    return lambda: [function(image) for image in images]


def resize_by_mura(method: str) -> Maker:
    square = Square(SIZE, method)
    return lambda data: over_images(lambda image: resize(image, square), data)


def resize_by_pillow(method: str) -> Maker:
    how = {"area": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR}[method]

    def shrink(image: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), how))

    return lambda data: over_images(shrink, data)


def resize_by_opencv(method: str) -> Maker:
    def make(data: Data) -> Work:
        import cv2

        how = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}[method]
        return over_images(lambda image: cv2.resize(image, (SIZE, SIZE), interpolation=how), data)

    return make


# Sums: squares to the mean and the deviation image ----------------------------------------------


def sums_by_mura(data: Data) -> Work:
    squares = data.squares()

    def work() -> np.ndarray:
        statistics = ImageStatistics()
        for start in range(0, len(squares), 8):
            statistics.update_all(squares[start : start + 8])
        return statistics.deviation()

    return work


def welford(images: Iterable[np.ndarray]) -> np.ndarray:
    mean = np.zeros((SIZE, SIZE))
    squares = np.zeros((SIZE, SIZE))
    count = 0
    for count, image in enumerate(images, start=1):
        difference = image - mean
        mean += difference / count
        squares += difference * (image - mean)
    return np.sqrt(squares / (count - 1))


def integer_sums(images: Iterable[np.ndarray]) -> np.ndarray:
    total = np.zeros((SIZE, SIZE), np.uint64)
    squares = np.zeros((SIZE, SIZE), np.uint64)
    count = 0
    for count, image in enumerate(images, start=1):  # noqa: B007 - counted for the end
        total += image
        squares += np.square(image, dtype=np.uint32)
    return np.sqrt((squares - total.astype(float) ** 2 / count) / (count - 1))


def over_squares(summed: Callable[[Any], np.ndarray]) -> Maker:
    def make(data: Data) -> Work:
        squares = data.squares()
        return lambda: summed(squares)

    return make


def numpy_at_once(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float64).std(axis=0, ddof=1)


# The memory map ---------------------------------------------------------------------------------


def statistics_from_map(data: Data) -> Work:
    from mura_core.data import statistics_of

    squares = data.squares()
    rows = np.arange(len(squares))
    return lambda: statistics_of(squares, rows)


def shuffled_batches(data: Data) -> Work:
    from mura_core import standardise

    squares = data.squares()
    statistics = stream_statistics(squares, None).result()
    order = np.random.default_rng(0).permutation(len(squares))

    def work() -> None:
        for start in range(0, len(order), 8):
            standardise(squares[np.sort(order[start : start + 8])], statistics)

    return work
