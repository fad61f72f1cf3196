import numpy as np
from numpy.typing import NDArray

def weighted(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    first_row: NDArray[np.intp],
    row_weights: NDArray[np.float32],
    first_column: NDArray[np.intp],
    column_weights: NDArray[np.float32],
    out: NDArray[np.float32] | NDArray[np.uint8],
    instructions: int,
) -> None: ...
