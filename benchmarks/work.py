"""A contest's data, and what a contestant is.

A contestant is a maker: called with the data, it imports what it needs (an ImportError leaves it
out) and returns the function that does the work once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mura_core import Square, read_radiograph, resize
from mura_core.data import Manifest

SIZE = 224


@dataclass(frozen=True)
class Data:
    """The images of a contest, spread evenly over a data set."""

    manifest: Manifest
    whole: Manifest  # all the images, for what has a cost of its own that these would share

    @cached_property
    def paths(self) -> list[str]:
        return paths_of(self.manifest)

    def contents(self) -> list[bytes]:
        return [Path(path).read_bytes() for path in self.paths]

    def squares(self) -> np.ndarray:
        square = Square(SIZE)
        return np.stack([resize(read_radiograph(path), square) for path in self.paths])


def paths_of(manifest: Manifest) -> list[str]:
    return [str(manifest.folder / path) for path in manifest.table["path"]]


Work = Callable[[], Any]
Maker = Callable[[Data], Work]
