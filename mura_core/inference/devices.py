"""Start TensorFlow without its log output, and select devices."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mura_core.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger("mura")


def start_tensorflow(seed: int, *, deterministic: bool = False) -> None:
    """Import TensorFlow without its start-up messages, and seed all random number generators.

    GPU memory is allocated as needed.

    Parameters
    ----------
    seed : int
        Random seed of Python, NumPy and Keras.
    deterministic : bool
        Whether to use only operations with bitwise reproducible results, which is slower.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_standard_error():
        import keras
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Memory growth can't be set after TensorFlow has started, or on a GPU that is divided.
        with suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def nvidia_gpus() -> list[str]:
    """Return the device files of the machine's NVIDIA GPUs, such as "/dev/nvidia0".

    The list is empty if CUDA_VISIBLE_DEVICES hides all GPUs.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    return sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))


def strategy_on(devices: str) -> tf.distribute.Strategy:
    """Return the strategy for training on the given devices.

    Parameters
    ----------
    devices : str
        `all` for every visible GPU, or the CPU if there is none; or names such as `cpu`, `gpu:1`
        or `gpu:0,gpu:1`.

    Raises
    ------
    UsageError
        There is no such device.
    """
    import tensorflow as tf

    there = {
        device.name.removeprefix("/device:").lower(): device.name
        for device in tf.config.list_logical_devices()
    }
    if devices == "all":
        names = [name for name in there if name.startswith("gpu")]
        if not names and nvidia_gpus():
            # TensorFlow's own message is suppressed with its start-up output.
            log.warning(
                "Training runs on the CPU: this machine has an NVIDIA GPU, but TensorFlow doesn't"
                " see it. pip install 'mura-run[gpu]' installs CUDA; `mura-run check-device` says"
                " what works"
            )
        names = names or ["cpu:0"]
    else:
        wanted = [name.strip().lower() for name in devices.split(",")]
        names = [name if ":" in name else f"{name}:0" for name in wanted]
    missing = [name for name in names if name not in there]
    if missing:
        raise UsageError(f"--devices: {missing[0]!r} is not one of {', '.join(there)}")
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(there[names[0]])
    return _mirrored(tuple(there[name] for name in names))


@cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    # One per process: every strategy numbers its collective operations from the same start, so
    # those of a second strategy would be mistaken for the first one's and abort.
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def has_gpu(strategy: tf.distribute.Strategy) -> bool:
    """Return whether any device of a strategy is a GPU."""
    return any("GPU" in device for device in strategy.extended.worker_devices)


def gpu_memory(strategy: tf.distribute.Strategy) -> int | None:
    """Return the memory of the strategy's smallest GPU that TensorFlow may use, in bytes.

    Untested on a GPU.

    Parameters
    ----------
    strategy : tf.distribute.Strategy

    Returns
    -------
    int or None
        None without a GPU.
    """
    if not has_gpu(strategy):
        return None
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    # Without memory growth, listing the devices could allocate all of their memory.
    growing = tf.compat.v1.ConfigProto(gpu_options={"allow_growth": True})
    chosen = {device.rpartition("device:")[2] for device in strategy.extended.worker_devices}
    limits = [
        device.memory_limit
        for device in device_lib.list_local_devices(growing)
        if device.name.rpartition("device:")[2] in chosen
    ]
    return min(limits, default=None)


@contextmanager
def _quiet_standard_error() -> Iterator[None]:
    # TensorFlow's C++ code writes to file descriptor 2 before any log level applies. If the import
    # fails, the suppressed output is shown.
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            noise.seek(0)
            os.write(kept, noise.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
