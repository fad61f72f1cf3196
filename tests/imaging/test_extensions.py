"""What reaches the compiled code is checked first: nothing crashes the interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mura_core import ImageStatistics, two_pass_kahan
from mura_core.errors import DataError
from mura_core.imaging import stream_statistics
from mura_core.imaging.png._chunks import parse

FUZZER = Path(__file__).parents[1] / "fuzz" / "fuzz_extensions.py"


def test_every_entry_is_right_or_raises():
    # In a process of its own, which a wrong access to memory could end.
    command = [sys.executable, str(FUZZER), "--count", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert len(done.stdout.split()) == 12, "entries were checked"


@pytest.mark.parametrize("content", [None, "text", bytearray(40), memoryview(bytes(40)), 7])
def test_chunks_are_of_bytes(content):
    with pytest.raises(TypeError):
        parse(content)


class Changing:
    """Images that are others when they are iterated over again."""

    def __init__(self, *passes):
        self.passes = iter(passes)

    def __iter__(self):
        return iter(next(self.passes))


shapes = st.tuples(st.integers(0, 6), st.integers(0, 6))
dtypes = st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int64, ">u2"])


@settings(max_examples=100, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.lists(shapes, max_size=3), dtypes), min_size=2, max_size=2),
)
def test_two_passes_over_other_images_are_refused(kinds):
    first, second = ([np.ones(shape, dtype) for shape in its] for its, dtype in kinds)
    same = len({image.shape for image in (*first, *second)}) == 1 and len(first) == len(second)
    known = {image.dtype for image in (*first, *second)} <= {
        np.dtype(dtype) for dtype in (np.uint8, np.uint16, np.float32)
    }
    images = Changing(first, second)
    if same and known and len(first) > 1:
        assert (two_pass_kahan(images).mean == 1).all()
    else:
        with pytest.raises((ValueError, DataError)):
            two_pass_kahan(images)


def a_state(dtype) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    statistics = ImageStatistics()
    statistics.update_all(random.integers(0, 200, (5, 3, 4)).astype(dtype))
    return statistics.state()


values = st.one_of(
    st.integers(-(2**65), 2**65).map(np.array),
    st.lists(st.integers(-2, 2**40), max_size=3).map(np.array),
    st.tuples(shapes, dtypes).map(lambda made: np.zeros(*made)),
    st.integers(0, 30).map(lambda length: np.zeros(length, np.uint64)),
    st.integers(0, 30).map(lambda length: np.zeros((2, length))),
    st.just(np.full((2, 12), np.nan)),
    st.sampled_from(["", "{}", "[]", '{"total": [[99, 1]], "total_of_squares": []}']).map(np.array),
    st.sampled_from([[[0, 1.5]], [[0]], [7], {"0": 1}, "text", [[-1, 1]]]).map(
        lambda pairs: np.array(json.dumps({"total": pairs, "total_of_squares": []}))
    ),
)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_state_that_is_wrong_is_refused_before_it_is_used(dtype, data):
    state = a_state(dtype)
    name = data.draw(st.sampled_from(list(state)))
    spoilt = state | {name: data.draw(values)}
    if data.draw(st.booleans()):
        del spoilt[name]
    try:
        statistics = ImageStatistics.from_state(spoilt)
    except ValueError:
        return
    if statistics.count:
        # What was taken is of a shape that its sums have, so images can be added.
        assert statistics.shape is not None
        statistics.update(np.ones(statistics.shape, dtype))
        assert statistics.mean().shape == statistics.deviation().shape == statistics.shape


def test_a_state_whose_lengths_contradict_each_other_is_refused():
    for name, value in (
        ("total", np.zeros(3, np.uint64)),
        ("total_of_squares", np.zeros(11, np.uint64)),
        ("shape", np.array([300, 400])),
        ("total", np.zeros((2, 12))),
    ):
        with pytest.raises(ValueError, match="expected"):
            ImageStatistics.from_state(a_state(np.uint8) | {name: value})


def test_a_damaged_checkpoint_is_named(tmp_path):
    images = [np.full((3, 4), level, np.uint8) for level in range(5)]
    checkpoint = tmp_path / "sums.npz"
    stream_statistics(images, None, checkpoint=checkpoint)
    with np.load(checkpoint) as arrays:
        state = dict(arrays)
    np.savez(checkpoint, **(state | {"total_of_squares": np.zeros(2, np.uint64)}))
    with pytest.raises(DataError, match=r"sums\.npz: is not a valid checkpoint \(total_of_sq"):
        stream_statistics(images, None, checkpoint=checkpoint)
