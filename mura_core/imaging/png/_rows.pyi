import numpy as np
from numpy.typing import NDArray

from mura_core.imaging.png.inflate import Buffer

def first_bad_filter(rows: Buffer, start: int, count: int, row_bytes: int) -> int: ...
def channels_are_equal(
    rows: Buffer, height: int, width: int, pixel_bytes: int, instructions: int
) -> bool: ...
def undo_filters(
    rows: Buffer, pixel_bytes: int, channel: int, plane: NDArray[np.uint8], instructions: int
) -> None: ...
def add_luma(
    red: NDArray[np.uint8],
    green: NDArray[np.uint8],
    blue: NDArray[np.uint8],
    grey: NDArray[np.uint8],
) -> None: ...
