"""The engine: from a folder of radiographs to figures that can be checked.

The names below are imported when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mura_core.extraction import extract
    from mura_core.manifest import Manifest, read_manifest
    from mura_core.prepared import PreparedImages, prepare
    from mura_core.radiographs import read_radiograph
    from mura_core.resizing import Square, resize
    from mura_core.statistics import (
        ImageStatistics,
        PixelStatistics,
        standardise,
        two_pass_kahan,
    )
    from mura_core.streaming import stream_images, stream_statistics

_HOME = {
    "ImageStatistics": "statistics",
    "Manifest": "manifest",
    "PixelStatistics": "statistics",
    "PreparedImages": "prepared",
    "Square": "resizing",
    "extract": "extraction",
    "prepare": "prepared",
    "read_manifest": "manifest",
    "read_radiograph": "radiographs",
    "resize": "resizing",
    "standardise": "statistics",
    "stream_images": "streaming",
    "stream_statistics": "streaming",
    "two_pass_kahan": "statistics",
}

__all__ = [
    "ImageStatistics",
    "Manifest",
    "PixelStatistics",
    "PreparedImages",
    "Square",
    "extract",
    "prepare",
    "read_manifest",
    "read_radiograph",
    "resize",
    "standardise",
    "stream_images",
    "stream_statistics",
    "two_pass_kahan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mura_core.{_HOME[name]}"), name)
