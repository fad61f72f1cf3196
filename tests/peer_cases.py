"""The network, the images and the maps that both our functions and their peers are given."""

import numpy as np

SIDE = 20
SEED = 7  # of what our measures draw

_random = np.random.default_rng(2019)

IMAGES = _random.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
# A 3 x 3 convolution of grey levels, tanh, and one unit, (row, column, channel) flattened.
KERNEL = _random.normal(0, 1 / 255, (3, 3, 1, 3)).astype(np.float32)
BIAS = _random.normal(0, 0.1, 3).astype(np.float32)
UNIT = _random.normal(0, 0.1, (SIDE * SIDE * 3, 1)).astype(np.float32)
# No two pixels are the same, so no order depends on how ties are broken.
HEATS = _random.normal(0, 1, (3, SIDE, SIDE)).astype(np.float32)


def _hole(*places: tuple[slice | int, slice | int]) -> np.ndarray:
    hidden = np.zeros((SIDE, SIDE), bool)
    for place in places:
        hidden[place] = True
    return hidden


HOLES = {
    "a corner pixel": _hole((0, 0)),
    "inside": _hole((slice(6, 12), slice(4, 11))),
    "at a border": _hole((slice(5, 10), slice(17, SIDE))),
    "two corners": _hole((slice(0, 4), slice(0, 5)), (slice(18, SIDE), slice(18, SIDE))),
    "from border to border": _hole((slice(9, 11), slice(0, SIDE))),
    "a third, anywhere": _random.random((SIDE, SIDE)) < 0.3,
    "all but one pixel": ~_hole((3, 8)),
}
# Each map's hottest pixel is in one of the two.
REGIONS = {
    "left": _hole((slice(0, SIDE), slice(0, SIDE // 2))),
    "right": _hole((slice(0, SIDE), slice(SIDE // 2, SIDE))),
}
