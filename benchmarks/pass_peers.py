"""The whole pass, from files to the mean and the deviation image: ours, and each peer's way."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from preprocessing_peers import (
    grey_of,
    integer_sums,
    kornia_read,
    numpy_at_once,
    pillow_grey,
    welford,
)
from work import SIZE, Data, Maker, Work, paths_of

from mura_core import Square, stream_statistics


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
