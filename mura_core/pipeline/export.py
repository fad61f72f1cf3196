"""Export a trained model to the format of another program."""

from __future__ import annotations

import logging
from pathlib import Path

from mura_core.errors import UsageError
from mura_core.files import refuse_unwritable
from mura_core.pipeline.data import register_layers
from mura_plugins.manager import load_plugins

log = logging.getLogger("mura")


def export_model_file(model_file: Path, path: Path, file_format: str) -> None:
    """Write a saved model in another format, and log its input and output.

    Parameters
    ----------
    model_file : Path
        The saved model, `model.keras`.
    path : Path
        New file to write; a folder for `savedmodel`.
    file_format : {"savedmodel", "onnx", "h5"}
        Format of the file.

    Raises
    ------
    UsageError
        If `path` exists or can't be written.
    DataError
        If the model can't be loaded.
    """
    if path.exists():
        raise UsageError(f"--out {path} already exists; name a new one")
    refuse_unwritable(path)

    from mura_core.inference import start_tensorflow

    start_tensorflow(seed=0)

    from mura_core.inference import export_model, load_model, square_of

    register_layers(load_plugins())
    model = load_model(model_file)
    square = square_of(model)
    export_model(model, path, file_format)
    log.info(
        "Wrote %s. Input: grey images (N, %d, %d, 1) with levels 0 to 255, resized by %s, fitted by"
        " %s. Output: logits (N, 1).",
        path, square.size, square.size, square.method, square.fit,
    )  # fmt: skip
