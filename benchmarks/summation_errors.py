"""How wrong each way to a mean and a deviation is, against exact rational arithmetic.

    python benchmarks/summation_errors.py

Prints docs/preprocessing.md's table: the greatest relative error over sets of 100,000 float32
values, chosen to be hard on each method.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from mura_core import ImageStatistics, two_pass_kahan

COUNT = 100_000


def sets() -> dict[str, np.ndarray]:
    random = np.random.default_rng(2019)
    wide = random.normal(size=COUNT) * 2.0 ** random.integers(-50, 50, COUNT)
    cancelling = np.concatenate([wide[: COUNT // 2], -wide[: COUNT // 2]])
    cancelling[0] += 2.0**-20
    return {
        "a radiograph's levels": random.integers(0, 256, COUNT).astype(np.float32),
        "a large level, little spread": (2.0**23 + random.integers(0, 2, COUNT)).astype(np.float32),
        "100 powers of two at once": wide.astype(np.float32),
        "sums that cancel": random.permutation(cancelling.astype(np.float32)),
    }


def exact(values: np.ndarray) -> tuple[Fraction, Fraction]:
    fractions = [Fraction(float(value)) for value in values]
    total = sum(fractions, Fraction(0))
    squares = sum((value * value for value in fractions), Fraction(0))
    variance = (squares - total * total / COUNT) / (COUNT - 1)
    with localcontext(prec=60):
        root = (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
    return total / COUNT, Fraction(root)


def by_numpy(dtype: type) -> object:
    def statistics(values: np.ndarray) -> tuple[float, float]:
        # Over images, as a mean image is: NumPy adds them one after another.
        images = values[:, None].repeat(2, axis=1)
        mean = images.mean(axis=0, dtype=dtype)[0]
        return float(mean), float(images.std(axis=0, ddof=1, dtype=dtype)[0])

    return statistics


def naive_sums(values: np.ndarray) -> tuple[float, float]:
    total = squares = 0.0
    for value in values.tolist():
        total += value
        squares += value * value
    variance = (squares - total * total / COUNT) / (COUNT - 1)
    return total / COUNT, max(variance, 0) ** 0.5


def welford(values: np.ndarray) -> tuple[float, float]:
    mean = squares = 0.0
    for count, value in enumerate(values.tolist(), start=1):
        difference = value - mean
        mean += difference / count
        squares += difference * (value - mean)
    return mean, (squares / (COUNT - 1)) ** 0.5


def kahan(values: np.ndarray) -> tuple[float, float]:
    statistics = two_pass_kahan(values[:, None])
    return float(statistics.mean[0]), float(statistics.deviation[0])


def mura(values: np.ndarray) -> tuple[float, float]:
    sums = ImageStatistics()
    sums.update_all(values[:, None])
    return float(sums.mean()[0]), float(sums.deviation()[0])


METHODS = {
    "NumPy, float32": by_numpy(np.float32),
    "NumPy, float64": by_numpy(np.float64),
    "sums of x and x², float64": naive_sums,
    "Welford, float64": welford,
    "two passes of Kahan (the 2019 report)": kahan,
    "`ImageStatistics`": mura,
}


def main() -> None:
    true = {name: (values, *exact(values)) for name, values in sets().items()}
    print("| | mean | deviation |\n|---|---|---|")
    for name, method in METHODS.items():
        worst = [0.0, 0.0]
        for values, *truth in true.values():
            for i, (value, right) in enumerate(zip(method(values), truth, strict=True)):
                # A correctly rounded value has no error that float64 could show.
                if value != float(right):
                    worst[i] = max(worst[i], float(abs(Fraction(value) - right) / abs(right)))
        print(f"| {name} | {worst[0]:.1e} | {worst[1]:.1e} |".replace("0.0e+00", "**0**"))


if __name__ == "__main__":
    main()
