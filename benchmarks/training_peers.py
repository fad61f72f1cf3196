"""What training costs: our path, plain Keras from files, and PyTorch with its DataLoader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mura_core import Square

if TYPE_CHECKING:
    from work import Data, Maker, Work

SIZE = 224


def feed_by_mura(data: Data) -> Work:
    from mura_core.training import training_batches

    squares, labels = data.squares(), data.manifest.table["label"].to_numpy()
    rows, batch_size = np.arange(len(squares)), 8
    batches = training_batches(
        squares, rows, labels, batch_size=batch_size, steps=len(rows) // batch_size,
        epochs=1, seed=0,
    )  # fmt: skip
    return lambda: sum(1 for _ in batches)


def augmented_feed_by_mura(data: Data) -> Work:
    """Batches flipped and shifted, which on our path is the first part of the training's step."""
    import tensorflow as tf

    from mura_core.training import Augmentation, training_batches

    squares, labels = data.squares(), data.manifest.table["label"].to_numpy()
    rows, batch_size = np.arange(len(squares)), 8
    batches = training_batches(
        squares, rows, labels, batch_size=batch_size, steps=len(rows) // batch_size,
        epochs=1, seed=0, with_numbers=True,
    )  # fmt: skip
    augment = tf.function(Augmentation(("flip", "shift")))
    return lambda: [augment(inputs).shape for inputs, _ in batches]


def decoded_batches(data: Data, batch_size: int) -> Any:
    """The way of Keras' and TensorFlow's tutorials: every epoch decodes and resizes each image."""
    import tensorflow as tf

    def read(path: Any, label: Any) -> Any:
        image = tf.io.decode_png(tf.io.read_file(path), channels=1)
        return tf.image.resize(image, (SIZE, SIZE), antialias=True), label

    labels = data.manifest.table["label"].to_numpy().astype(np.float32)[:, None]
    files = tf.data.Dataset.from_tensor_slices((data.paths, labels))
    images = files.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def feed_by_tf_data(data: Data) -> Work:
    batches = decoded_batches(data, 8)
    return lambda: sum(1 for _ in batches)


def builder_of(architecture: str) -> Any:
    from mura_models import conv, efficientnet_lite, resnet

    return {
        "conv4": conv.conv4,
        "efficientnet-lite0": efficientnet_lite.efficientnet_lite0,
        "resnet18": resnet.resnet18,
    }[architecture]


def train_by_mura(architecture: str, batch_size: int) -> Maker:
    def make(data: Data) -> Work:
        from mura_core import stream_statistics
        from mura_core.inference import strategy_on
        from mura_core.training import Recipe, build_model, compiled, training_batches

        squares, labels = data.squares(), data.manifest.table["label"].to_numpy()
        steps = len(squares) // batch_size
        statistics = stream_statistics(squares, None).result()
        _, model = compiled(
            lambda: build_model(builder_of(architecture), {}, statistics, Square(SIZE)),
            Recipe(batch_size=batch_size),
            steps,
            strategy_on("all"),
            class_weights=None,
        )
        batches = training_batches(
            squares, np.arange(len(squares)), labels, batch_size=batch_size, steps=steps,
            epochs=1, seed=0,
        )  # fmt: skip
        return lambda: model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)

    return make


def train_by_keras(architecture: str, batch_size: int) -> Maker:
    def make(data: Data) -> Work:
        import keras

        inputs = keras.Input((SIZE, SIZE, 1))
        standardisation = keras.layers.Normalization()
        batches = decoded_batches(data, batch_size)
        standardisation.adapt(batches.map(lambda images, labels: images))
        network = builder_of(architecture)((SIZE, SIZE, 1))
        model = keras.Model(inputs, network(standardisation(inputs)))
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(optimizer="adam", loss=loss)
        return lambda: model.fit(batches, verbose=0)

    return make


def torch_conv4() -> Any:
    from torch import nn

    layers: list[Any] = []
    channels = 1
    for filters in (2, 4, 8, 16, 32):
        layers += [
            nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(),
            nn.MaxPool2d(2),
        ]  # fmt: skip
        channels = filters
    head = [nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 1)]
    return nn.Sequential(*layers, *head)


def torch_resnet18() -> Any:
    import torch
    from torch import nn

    def convolved(channels: int, filters: int, kernel: int, stride: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(filters),
        )

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            self.residual = nn.Sequential(
                convolved(channels, filters, 3, stride),
                nn.ReLU(),
                convolved(filters, filters, 3, 1),
            )
            same = stride == 1 and channels == filters
            self.shortcut = nn.Identity() if same else convolved(channels, filters, 1, stride)

        def forward(self, images: Any) -> Any:
            return torch.relu(self.residual(images) + self.shortcut(images))

    layers: list[Any] = [convolved(1, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for filters in (64, 128, 256, 512):
        layers += [Block(channels, filters, 1 if filters == 64 else 2), Block(filters, filters, 1)]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1))


def train_by_pytorch(architecture: str, batch_size: int, *, in_memory: bool = False) -> Maker:
    def make(data: Data) -> Work:
        import torch
        from pass_peers import pillow_square
        from torch import nn
        from torch.utils.data import DataLoader, Dataset

        labels = data.manifest.table["label"].to_numpy().astype(np.float32)

        kept = data.squares() if in_memory else None

        class Files(Dataset):  # type: ignore[type-arg, misc]
            def __len__(self) -> int:
                return len(data.paths)

            def __getitem__(self, index: int) -> Any:
                square = kept[index] if in_memory else pillow_square(data.paths[index])
                return torch.from_numpy(square.astype(np.float32))[None] / 64 - 1, labels[index]

        model = {"conv4": torch_conv4, "resnet18": torch_resnet18}[architecture]()
        optimizer = torch.optim.Adam(model.parameters())
        loader = DataLoader(Files(), batch_size, drop_last=True)

        def work() -> None:
            for images, targets in loader:
                optimizer.zero_grad()
                loss = nn.functional.binary_cross_entropy_with_logits(model(images)[:, 0], targets)
                loss.backward()
                optimizer.step()

        return work

    return make
