import numpy as np
from numpy.typing import NDArray

def add_integers(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    total: NDArray[np.uint64],
    total_of_squares: NDArray[np.uint64],
) -> None: ...
def add_reals(
    pixels: NDArray[np.float32],
    total: NDArray[np.float64],
    total_of_squares: NDArray[np.float64],
) -> None: ...
def merge_reals(other: NDArray[np.float64], total: NDArray[np.float64]) -> None: ...
def first_not_finite(pixels: NDArray[np.float32]) -> int: ...
