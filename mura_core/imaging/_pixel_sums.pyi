import numpy as np
from numpy.typing import NDArray

def add_integers(
    images: NDArray[np.uint8] | NDArray[np.uint16],
    total: NDArray[np.uint64],
    total_of_squares: NDArray[np.uint64],
    instructions: int,
) -> None: ...
def add_reals(
    pixels: NDArray[np.float32],
    total: NDArray[np.float64],
    total_of_squares: NDArray[np.float64],
    beyond: NDArray[np.float64],
    instructions: int,
) -> bool: ...
def add_to_pairs(
    terms: NDArray[np.float64], total: NDArray[np.float64], beyond: NDArray[np.float64]
) -> bool: ...
def nearest_deviations(
    count: int,
    divisor: int,
    total: NDArray[np.uint64],
    total_of_squares: NDArray[np.uint64],
    out: NDArray[np.float64],
) -> None: ...
def add_by_kahan(
    pixels: NDArray[np.generic], sums: NDArray[np.float64], compensations: NDArray[np.float64]
) -> None: ...
def add_squares_by_kahan(
    pixels: NDArray[np.generic],
    mean: NDArray[np.float64],
    sums: NDArray[np.float64],
    compensations: NDArray[np.float64],
) -> None: ...
def first_not_finite(pixels: NDArray[np.float32]) -> int: ...
