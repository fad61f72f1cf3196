"""TensorFlow, started quietly, on the devices that are there."""

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
    """Import TensorFlow without its start-up noise, and seed every generator.

    GPU memory is taken as it is needed.

    Parameters
    ----------
    seed : int
    deterministic : bool
        Use operations alone that give the same bits every time, which takes longer.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_standard_error():
        import keras
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Once TensorFlow runs, or where a GPU is divided, growth can't be set any more.
        with suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def nvidia_gpus() -> list[str]:
    """Return the device files of the machine's NVIDIA GPUs, unless they are hidden on purpose."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    return sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))


def strategy_on(devices: str) -> tf.distribute.Strategy:
    """Return the strategy that trains on the devices that are asked for.

    Parameters
    ----------
    devices : str
        `all` for every visible GPU, or the one device there is; else names such as `cpu`,
        `gpu:1` or `gpu:0,gpu:1`.

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
            # TensorFlow says so, too, but among its start-up noise.
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
    # One for the whole process: each numbers its exchanges between devices from the same number
    # on, so those of a second one would be taken for the first one's, and abort.
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def has_gpu(strategy: tf.distribute.Strategy) -> bool:
    """Return whether a strategy trains on a GPU."""
    return any("GPU" in device for device in strategy.extended.worker_devices)


def gpu_memory(strategy: tf.distribute.Strategy) -> int | None:
    """Return the bytes that TensorFlow may take of the strategy's smallest GPU; None without one.

    Untried: no machine with a GPU was at hand.
    """
    if not has_gpu(strategy):
        return None
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    # Without growth, listing the devices could take all of their memory.
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
    # TensorFlow's C++ side writes to file descriptor 2 before any log level applies. What it
    # wrote is shown after all if it then fails.
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
