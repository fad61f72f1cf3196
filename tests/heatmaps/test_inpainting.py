"""Hidden pixels become what their surroundings make likely."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from mura_core.heatmaps.measures.inpainting import fill


def test_a_single_pixel_is_the_weighted_mean_of_its_neighbours():
    image = np.arange(9, dtype=np.uint8).reshape(3, 3) ** 2
    hidden = np.zeros((3, 3), bool)
    hidden[1, 1] = True
    sides, corners = 1 + 9 + 25 + 49, 0 + 4 + 36 + 64
    assert fill(image, hidden)[1, 1] == pytest.approx(sides / 6 + corners / 12)
    # In a corner there are three neighbours, whose weights are two sixths and a twelfth.
    hidden = np.roll(hidden, (-1, -1), axis=(0, 1))
    assert fill(image, hidden)[0, 0] == pytest.approx((2 * 1 + 2 * 9 + 16) / 5, rel=1e-6)


def test_a_slope_goes_on_across_a_hole():
    rows, columns = np.mgrid[:30, :40]
    slope = (2 * rows + 3 * columns).astype(np.float32)
    hidden = np.zeros(slope.shape, bool)
    hidden[5:20, 8:30] = True
    hidden[24:26, 3:6] = True
    np.testing.assert_allclose(fill(np.where(hidden, 255, slope), hidden), slope, atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(
    image=arrays.arrays(np.uint8, (9, 11)),
    hidden=arrays.arrays(bool, (9, 11)).filter(lambda mask: not mask.all()),
)
def test_nothing_is_brighter_or_darker_than_what_is_known(image, hidden):
    filled = fill(image, hidden)
    np.testing.assert_array_equal(filled[~hidden], image[~hidden])
    assert filled.min() >= image[~hidden].min() - 1e-3
    assert filled.max() <= image[~hidden].max() + 1e-3


def test_where_nothing_is_hidden_nothing_changes():
    image = np.random.default_rng(0).integers(0, 256, (5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(fill(image, np.zeros((5, 6), bool)), image)
