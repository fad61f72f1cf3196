"""Count the memory that training a network takes, train it, and print both in MiB.

    MALLOC_MMAP_THRESHOLD_=65536 python benchmarks/training_memory.py resnet18 224 32 rematerialise

The variable makes the C library return freed memory at once, so that the peak is what was in use.
"""

import sys
from pathlib import Path

from mura_core.inference import start_tensorflow, strategy_on


def main() -> None:
    name, side, batch_size, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    start_tensorflow(seed=0)

    import numpy as np
    import tensorflow as tf

    from mura_core.imaging import Square
    from mura_core.training import Recipe, build_model, compiled, count_memory
    from mura_plugins.manager import load_plugins, resolve

    build = resolve(load_plugins().architecture(name).build)
    _, trained = compiled(
        lambda: build_model(build, {}, None, Square(side)),
        Recipe(jit="off", **dict.fromkeys(options, True)),
        10,
        strategy_on("cpu"),
    )
    memory = count_memory(trained)
    images = np.zeros((batch_size, side, side, 1), np.uint8)
    labels = np.zeros((batch_size, 1), np.float32)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        trained.train_step((images, labels))

    step.get_concrete_function(tf.constant(images), tf.constant(labels))  # Python's part of it
    before = resident("VmRSS") - memory.weights - memory.optimizer
    for _ in range(2):
        step(tf.constant(images), tf.constant(labels))
    expected, taken = memory.of(batch_size).total, resident("VmHWM") - before
    print(f"{name} {side} {batch_size} {' '.join(options)} counted, taken:")
    print(f"{expected / 2**20:.0f} {taken / 2**20:.0f}")


def resident(kind: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(kind)


if __name__ == "__main__":
    main()
