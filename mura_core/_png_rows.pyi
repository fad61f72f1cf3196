import numpy as np
from numpy.typing import NDArray

from mura_core.inflate import Buffer

def first_bad_filter(rows: Buffer, height: int, row_bytes: int) -> int: ...
def channels_are_equal(rows: Buffer, height: int, width: int, stride: int) -> bool: ...
def undo_filters(
    rows: Buffer,
    stride: int,
    channel: int,
    plane: NDArray[np.uint8],
    filters: NDArray[np.uint8],
    use_vectors: bool = True,
) -> None: ...
def add_luma(planes: NDArray[np.uint8], grey: NDArray[np.uint8]) -> None: ...
