"""Whatever is edited, in whatever order: what is prepared is today's data, never the cache's."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from PIL import Image

from mura_core.data import prepare, read_manifest
from mura_core.files import write_csv
from mura_core.imaging import Square, read_radiograph, resize

SIDE, COUNT = 12, 6
SQUARE = Square(4)
ROWS = st.integers(0, COUNT - 1)
COLUMNS = st.sampled_from(["label", "patient", "study", "body_part"])


class Edits(RuleBasedStateMachine):
    """A data set with a CSV that is edited, and one cache for all its states."""

    @initialize()
    def make(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.data = self.root / "data"
        self.data.mkdir()
        self.numbers = itertools.count()
        self.table = pd.DataFrame(
            {
                "path": [f"{number}.png" for number in range(COUNT)],
                "body_part": "HAND",
                "patient": [f"p{number}" for number in range(COUNT)],
                "study": "s1",
                "label": [number % 2 for number in range(COUNT)],
                "split": ["train", "valid"] * (COUNT // 2),
            }
        )
        for row in range(COUNT):
            self.draw(row)
        self.save()

    def draw(self, row: int) -> None:
        """Write new pixels into an image file, which keeps its size in bytes."""
        random = np.random.default_rng(next(self.numbers))
        pixels = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(pixels).save(self.path(row), format="BMP")

    def path(self, row: int) -> Path:
        return self.data / self.table["path"][row]

    def save(self) -> None:
        write_csv(self.data / "manifest.csv", self.table)

    @rule(row=ROWS, column=COLUMNS)
    def change_a_cell(self, row: int, column: str) -> None:
        if column == "label":
            self.table.loc[row, column] = 1 - self.table.loc[row, column]
        else:
            self.table.loc[row, column] = f"new{next(self.numbers)}"
        self.save()

    @rule(row=ROWS)
    def change_a_split(self, row: int) -> None:
        other = {"train": "valid", "valid": "train"}
        patient = self.table["patient"] == self.table["patient"][row]
        self.table.loc[patient, "split"] = other[self.table["split"][row]]
        self.save()

    @rule(row=ROWS, keeps_times=st.booleans())
    def replace_pixels(self, row: int, keeps_times: bool) -> None:
        before = self.path(row).stat()
        self.draw(row)
        if keeps_times:  # as rsync and unpacked archives do
            os.utime(self.path(row), ns=(before.st_atime_ns, before.st_mtime_ns))

    @rule(one=ROWS, other=ROWS)
    def swap_two_files(self, one: int, other: int) -> None:
        if one != other:
            spare = self.data / "spare"
            self.path(one).rename(spare)
            self.path(other).rename(self.path(one))
            spare.rename(self.path(other))

    @rule(row=ROWS)
    def rename_a_file(self, row: int) -> None:
        before = self.path(row)
        self.table.loc[row, "path"] = f"{next(self.numbers)}.png"
        before.rename(self.path(row))
        self.save()

    @rule(order=st.permutations(range(COUNT)))
    def sort_the_table(self, order: list[int]) -> None:
        self.table = self.table.iloc[order].reset_index(drop=True)
        self.save()

    @rule()
    def copy_to_another_folder(self) -> None:
        """The same paths, sizes and times elsewhere, with other pixels in the files left behind."""
        elsewhere = self.root / f"data{next(self.numbers)}"
        shutil.copytree(self.data, elsewhere)  # keeps times
        for row in range(COUNT):
            times = self.path(row).stat()
            self.draw(row)
            os.utime(self.path(row), ns=(times.st_atime_ns, times.st_mtime_ns))
        if next(self.numbers) % 2:
            self.data = elsewhere

    @invariant()
    def what_is_prepared_is_todays_data(self) -> None:
        manifest = read_manifest(self.data)
        prepared = prepare(manifest, self.root / "cache", square=SQUARE, threads=1)
        rows = prepared.table.set_index("path")
        pd.testing.assert_frame_equal(
            rows.sort_index(),
            self.table.set_index("path").sort_index().astype({"label": "int8"}),
            check_like=True,
            check_dtype=False,
        )
        for number, path in enumerate(prepared.table["path"]):
            expected = resize(read_radiograph(self.data / path), SQUARE)
            np.testing.assert_array_equal(prepared.images[number], expected)

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


Edits.TestCase.settings = settings(
    max_examples=12, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEdits = Edits.TestCase
