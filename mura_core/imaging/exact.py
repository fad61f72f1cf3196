"""The correctly rounded deviation of exact sums."""

from __future__ import annotations

import math


def exact_deviation(count: int, divisor: int, total: int, total_of_squares: int) -> float:
    """Return the correctly rounded root of (count * squares - total²) / (count * divisor).

    Parameters
    ----------
    count : int
        Number of terms.
    divisor : int
        What the variance is divided by, times the square of the unit of the sums.
    total, total_of_squares : int
        The exact sums of the terms and of their squares.
    """
    return _square_root(max(0, count * total_of_squares - total * total), count * divisor)


def _square_root(numerator: int, denominator: int) -> float:
    """Return the correctly rounded square root of a non-negative fraction."""
    if numerator == 0:
        return 0.0
    # Scale the quotient to at least 112 bits, so that its integer root has at least 56, three
    # more than a float64. A sticky bit records whether the root was inexact.
    shift = max(0, 112 + denominator.bit_length() - numerator.bit_length())
    shift += shift % 2
    quotient, remainder = divmod(numerator << shift, denominator)
    root = math.isqrt(quotient)
    beyond = remainder != 0 or root * root != quotient
    return math.ldexp(float(2 * root + beyond), -(shift // 2) - 1)
