"""A trained model in the format of another program."""

from __future__ import annotations

import logging
from pathlib import Path

from mura_core.errors import UsageError
from mura_core.files import refuse_unwritable
from mura_core.pipeline.data import register_layers
from mura_plugins.manager import load_plugins

log = logging.getLogger("mura")


def export_model_file(model_file: Path, path: Path, file_format: str) -> None:
    """Write a saved model in another program's format, and say what goes in and comes out."""
    if path.exists():
        raise UsageError(f"--out {path} exists already; name a new one")
    refuse_unwritable(path)

    from mura_core.inference import start_tensorflow

    start_tensorflow(seed=0)

    from mura_core.inference import export_model, load_model, square_of

    register_layers(load_plugins())
    model = load_model(model_file)
    square = square_of(model)
    export_model(model, path, file_format)
    log.info(
        "Wrote %s: from grey images (N, %d, %d, 1) of levels 0 to 255, resized by %s, fitted by %s,"
        " to logits (N, 1)",
        path, square.size, square.size, square.method, square.fit,
    )  # fmt: skip
