"""Read and write `environment.json`: what a run was trained with, besides its settings.

Nothing in it names the machine or its user.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mura_core.errors import DataError
from mura_core.files import replacing
from mura_core.imaging import instruction_set

_PACKAGES = ("mura-run", "tensorflow", "keras", "numpy", "pandas", "pillow", "scikit-learn")
# Those whose version changes what is trained. That of Pillow can only change the pixels.
_TRAINING = ("mura-run", "tensorflow", "keras", "numpy")


def write_environment(folder: Path, pixels: str, plugins: Mapping[str, str]) -> None:
    """Write the time, the kind of machine and the package versions of a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    pixels : str
        Digest of the prepared images.
    plugins : mapping of str
        Versions of the distributions that provide the run's architecture and readers.
    """
    import tensorflow as tf

    environment = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "instructions": instruction_set(),
        "pixels": pixels,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "packages": {name: version(name) for name in _PACKAGES},
        "plugins": dict(plugins),
    }
    with replacing(folder / "environment.json") as file:
        json.dump(environment, file, indent=1)


def refuse_other_pixels(folder: Path, pixels: str) -> None:
    """Raise a DataError if the pixels of a run's images have changed since.

    Parameters
    ----------
    folder : Path
        The run folder. Runs that stopped before reading the images, and those of older versions,
        have no digest and pass.
    pixels : str
        Digest of the current prepared images.
    """
    if _environment(folder).get("pixels", pixels) != pixels:
        raise DataError(
            f"{folder}: the images have changed since this run; restore them or start a new run"
        )


def refuse_other_versions(folder: Path, plugins: Mapping[str, str]) -> None:
    """Raise a DataError if a resumed run would be trained with other versions than before.

    Parameters
    ----------
    folder : Path
        The run folder. Runs of older versions of mura-run, which didn't write `plugins`, pass.
    plugins : mapping of str
        Current versions of the distributions that provide the run's architecture and readers.
    """
    before = _environment(folder)
    if not isinstance(before.get("packages"), dict) or not isinstance(before.get("plugins"), dict):
        return
    trained = {name: before["packages"].get(name) for name in _TRAINING} | before["plugins"]
    now = {name: version(name) for name in _TRAINING} | dict(plugins)
    for name in {**trained, **now}:
        if trained.get(name) != now.get(name):
            raise DataError(
                f"{folder}: was trained with {name} {trained.get(name, 'not installed')}, now it is"
                f" {now.get(name, 'not installed')}; install that version or start a new run"
            )


def _environment(folder: Path) -> dict[str, Any]:
    try:
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return environment if isinstance(environment, dict) else {}
