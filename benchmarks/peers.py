"""What is measured: our preprocessing, and each peer's way to do the same work.

A contest is a piece of work; its contestants are makers: called with the data, a maker imports what
it needs (an ImportError leaves it out) and returns the function that does the work once.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import training_peers
from PIL import Image

from mura_core import ImageStatistics, Square, read_radiograph, resize, stream_statistics
from mura_core._png_chunks import parse
from mura_core.manifest import Manifest

SIZE = 224


@dataclass(frozen=True)
class Data:
    """The images of a contest, spread evenly over a data set."""

    manifest: Manifest
    whole: Manifest  # all the images, for what has a cost of its own that these would share

    @cached_property
    def paths(self) -> list[str]:
        return paths_of(self.manifest)

    def contents(self) -> list[bytes]:
        return [Path(path).read_bytes() for path in self.paths]

    def squares(self) -> np.ndarray:
        square = Square(SIZE)
        return np.stack([resize(read_radiograph(path), square) for path in self.paths])


def paths_of(manifest: Manifest) -> list[str]:
    return [str(manifest.folder / path) for path in manifest.table["path"]]


Work = Callable[[], Any]
Maker = Callable[[Data], Work]


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


# The whole pass: files to the mean and the deviation image --------------------------------------


def pass_by_mura(threads: int = 1) -> Maker:
    def make(data: Data) -> Work:
        return lambda: stream_statistics(data.paths, Square(SIZE), threads=threads).deviation()

    return make


def pass_over_all(data: Data) -> Work:
    paths = paths_of(data.whole)
    return lambda: stream_statistics(paths, Square(SIZE), threads=1).deviation()


def map_by_mura(data: Data) -> Work:
    """The same pass, which also writes the memory map that every later epoch reads."""
    from mura_core import prepare

    def work() -> np.ndarray:
        cache = Path(tempfile.mkdtemp())
        try:
            return prepare(data.whole, cache, Square(SIZE), threads=1).statistics().deviation
        finally:
            shutil.rmtree(cache)

    return work


def pillow_square(path: str) -> np.ndarray:
    return np.asarray(pillow_grey(path).resize((SIZE, SIZE), Image.Resampling.BOX))


def pass_by_pillow(data: Data) -> Work:
    return lambda: welford(pillow_square(path) for path in data.paths)


def opencv_square(path: str, how: str = "INTER_LINEAR") -> np.ndarray:
    import cv2

    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    return cv2.resize(image, (SIZE, SIZE), interpolation=getattr(cv2, how))


def pass_by_opencv(how: str) -> Maker:
    def make(data: Data) -> Work:
        opencv_square(data.paths[0])
        return lambda: integer_sums(opencv_square(path, how) for path in data.paths)

    return make


def pass_by_imagecodecs(data: Data) -> Work:
    import cv2
    import imagecodecs

    def square(path: str) -> np.ndarray:
        image = grey_of(imagecodecs.png_decode(Path(path).read_bytes()))
        return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)

    return lambda: integer_sums(square(path) for path in data.paths)


def pass_by_kornia(data: Data) -> Work:
    import cv2

    kornia_read(data.paths[0])

    def square(path: str) -> np.ndarray:
        return cv2.resize(kornia_read(path), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)

    return lambda: integer_sums(square(path) for path in data.paths)


def tf_squares(paths: Sequence[str]) -> Any:
    import tensorflow as tf

    def read(path: Any) -> Any:
        image = tf.io.decode_png(tf.io.read_file(path), channels=1)
        return tf.image.resize(image, (SIZE, SIZE))

    return tf.data.Dataset.from_tensor_slices(list(paths)).map(read, num_parallel_calls=1)


def pass_by_tf_data(data: Data) -> Work:
    import tensorflow as tf

    zeros = tf.zeros((SIZE, SIZE, 1), tf.float64)

    def add(sums: Any, image: Any) -> Any:
        pixels = tf.cast(image, tf.float64)
        return sums[0] + pixels, sums[1] + pixels * pixels

    def work() -> np.ndarray:
        paths = data.paths
        total, squares = tf_squares(paths).reduce((zeros, zeros), add)
        return np.sqrt((squares - total**2 / len(paths)) / (len(paths) - 1))

    return work


def pass_by_keras(data: Data) -> Work:
    import keras

    def work() -> Any:
        layer = keras.layers.Normalization(axis=(1, 2, 3))
        layer.adapt(tf_squares(data.paths).batch(32))
        return layer.variance

    return work


def pass_by_torchvision(data: Data) -> Work:
    try:
        from torchvision.io import ImageReadMode, decode_image
        from torchvision.transforms.v2.functional import resize as torch_resize
    except RuntimeError as error:  # built for another torch
        raise ImportError(str(error)) from None

    def square(path: str) -> np.ndarray:
        image = decode_image(path, ImageReadMode.GRAY)
        return torch_resize(image, [SIZE, SIZE], antialias=True)[0].numpy()

    return lambda: integer_sums(square(path) for path in data.paths)


def pass_by_sklearn(data: Data) -> Work:
    from sklearn.preprocessing import StandardScaler

    def work() -> Any:
        scaler = StandardScaler()
        paths = data.paths
        for start in range(0, len(paths), 64):
            batch = [pillow_square(path).reshape(-1) for path in paths[start : start + 64]]
            scaler.partial_fit(np.stack(batch))
        return scaler.var_

    return work


def pass_by_numpy(data: Data) -> Work:
    return lambda: numpy_at_once(np.stack([pillow_square(path) for path in data.paths]))


def pass_as_in_2019(data: Data) -> Work:
    """Every pixel's levels over all images in a Python list, as the report's code had them."""
    opencv_square(data.paths[0])
    paths = data.paths[:20]

    def work() -> list[float]:
        images = [opencv_square(path) for path in paths]
        deviations = []
        for row in range(SIZE):
            for column in range(SIZE):
                levels = [image[row][column] for image in images]
                mean = sum(float(level) for level in levels) / len(levels)
                squares = sum((float(level) - mean) ** 2 for level in levels)
                deviations.append((squares / (len(levels) - 1)) ** 0.5)
        return deviations

    return work


# The memory map ---------------------------------------------------------------------------------


def statistics_from_map(data: Data) -> Work:
    from mura_core.prepared import statistics_of

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


# The contests -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contest:
    """Contestants that do the same work; the first is ours.

    `by_wall` is True where the clock on the wall is what matters, not the CPU's time. `images` is
    how many of the data's a contest takes that would take too long with all.
    """

    contestants: dict[str, Maker]
    by_wall: bool = False
    images: int | None = None


CONTESTS = {
    "read": Contest(
        {
            "mura": read_by_mura,
            "inflate alone": inflate_alone,
            "kornia-rs": read_by_kornia,
            "imagecodecs (libpng)": read_by_imagecodecs,
            "imagecodecs (spng)": read_by_spng,
            "OpenCV": read_by_opencv,
            "Pillow": read_by_pillow,
            "TensorFlow": read_by_tensorflow,
        }
    ),
    "resize": Contest(
        {
            "mura area": resize_by_mura("area"),
            "mura bilinear": resize_by_mura("bilinear"),
            "mura linear": resize_by_mura("linear"),
            "OpenCV area": resize_by_opencv("area"),
            "OpenCV linear": resize_by_opencv("linear"),
            "Pillow box": resize_by_pillow("area"),
            "Pillow bilinear": resize_by_pillow("bilinear"),
        }
    ),
    "sums": Contest(
        {
            "mura": sums_by_mura,
            "NumPy, integers": over_squares(integer_sums),
            "NumPy, Welford": over_squares(welford),
            "NumPy, all at once": over_squares(numpy_at_once),
        }
    ),
    "whole pass": Contest(
        {
            "mura": pass_by_mura(),
            "inflate alone": inflate_alone,
            "OpenCV linear, integers": pass_by_opencv("INTER_LINEAR"),
            "OpenCV area, integers": pass_by_opencv("INTER_AREA"),
            "kornia-rs, OpenCV linear": pass_by_kornia,
            "imagecodecs, OpenCV linear": pass_by_imagecodecs,
            "Pillow, Welford": pass_by_pillow,
            "tf.data": pass_by_tf_data,
            "Keras Normalization.adapt": pass_by_keras,
            "torchvision": pass_by_torchvision,
            "scikit-learn partial_fit": pass_by_sklearn,
            "NumPy, all at once": pass_by_numpy,
            "2019's lists": pass_as_in_2019,
        }
    ),
    "the pass over all images": Contest(
        {"statistics alone": pass_over_all, "and the memory map": map_by_mura}
    ),
    "threads": Contest({"1 thread": pass_by_mura(1), "2 threads": pass_by_mura(2)}, by_wall=True),
    "memory map": Contest(
        {"statistics from the map": statistics_from_map, "shuffled batches": shuffled_batches}
    ),
    "feed": Contest(
        {
            "mura": training_peers.feed_by_mura,
            "mura, flipped and shifted": training_peers.augmented_feed_by_mura,
            "tf.data, decoding": training_peers.feed_by_tf_data,
        },
        by_wall=True,
    ),
} | {
    f"training {architecture} by {batch_size}": Contest(
        {
            "mura": training_peers.train_by_mura(architecture, batch_size),
            "Keras, from files": training_peers.train_by_keras(architecture, batch_size),
            "PyTorch, from files": training_peers.train_by_pytorch(architecture, batch_size),
        },
        by_wall=True,
        images=images,
    )
    for architecture, batch_size, images in (
        ("conv4", 8, 96),
        ("conv4", 32, 96),
        ("resnet18", 8, 16),
    )
}
