"""TensorFlow, started quietly, on the devices that are there."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


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
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def all_devices() -> tf.distribute.Strategy:
    """Return the strategy that trains on every visible GPU, or on the one device there is."""
    import tensorflow as tf

    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


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
