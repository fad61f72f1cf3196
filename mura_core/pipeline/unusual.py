"""Say on the console which images are unlike the training images."""

from __future__ import annotations

import logging

import pandas as pd

from mura_core.errors import printable
from mura_core.pipeline.left_out import examples, grouped

log = logging.getLogger("mura")


def say_unusual(unusual: pd.DataFrame, listed_in: str) -> None:
    """Log a warning for each kind of unusual images; they are used as they are.

    Parameters
    ----------
    unusual : DataFrame
        `path` and `reason` of the images, as `mura_core.data.unusual_images` returns them.
    listed_in : str
        Where all are listed, such as the name of a file.
    """
    for same in grouped(unusual, lambda reason: reason.split(" (")[0]):
        count = "1 image" if len(same) == 1 else f"{len(same)} images"
        log.warning("Unusual: %s: %s", count, printable(examples(same)))
    if len(unusual):
        log.warning("Unusual images are used as they are, and listed %s", listed_in)
