"""Tables keep what was written to them: names that look like numbers, and every bit of a number."""

import csv
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.data import Manifest, read_boxes
from mura_core.errors import DataError
from mura_core.files import write_csv
from mura_core.runs import RUN_TABLES, read_run_table
from mura_core.tables import read_table
from mura_core.training import history_table

PACKAGE = Path(__file__).parents[1] / "mura_core"
WHOLE = {
    "label", "label_of_folder", "fold", "seed", "run_seed", "epoch", "images", "studies",
    "patients",
}  # fmt: skip
TRUTHS = {"signed", "empty", "flips"}
TEXT = {
    "path", "body_part", "patient", "study", "split", "reason", "collapse", "least_active_layer",
    "explainer", "layer", "toward", "style", "map", "heatmap", "overlay", "split_by", "judged",
}  # fmt: skip
HISTORY = ("seed", "epoch", "loss", "collapse", "least_active_layer", "least_active_share")

# What pandas would make a number, a truth value or nothing of, and what CSV must quote.
texts = st.one_of(
    st.sampled_from(["0012", "12", "NA", "nan", "None", "1e5", "True", "-0", "", " ", "1_000"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    st.sampled_from(['a"b', "a,b", "two\nlines", "#1", "'", "\ufeffx"]),
)


def cells_of(name: str) -> st.SearchStrategy:
    if name in WHOLE:
        return st.integers(-(2**62), 2**62)
    if name in TRUTHS:
        return st.booleans()
    if name in TEXT:
        return texts
    return st.floats(width=32 if name == "logit" else 64, allow_infinity=False)


@pytest.mark.parametrize("name", [*RUN_TABLES, "history.csv"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_table_is_read_as_it_was_written(tmp_path, name, data):
    columns = RUN_TABLES.get(name, HISTORY)
    rows = data.draw(st.lists(st.tuples(*map(cells_of, columns)), min_size=1, max_size=5))
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(rows, columns=list(columns))
    if "logit" in table:
        table["logit"] = table["logit"].astype(np.float32)
    write_csv(path, table)
    written = path.read_bytes()
    read = history_table(tmp_path) if name == "history.csv" else read_run_table(tmp_path, name)
    assert list(read) == list(columns)
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        for one, other in zip(read[column].tolist(), values, strict=True):
            assert one == other or (math.isnan(one) and math.isnan(other))
            assert type(one) is type(other)
    write_csv(path, read)
    assert path.read_bytes() == written


def test_names_that_are_not_utf8_are_escaped_and_restored(tmp_path):
    path = tmp_path / "left_out.csv"
    names = ["h\udce9.png", "caf\xe9.png", "a,\udcff\udc80.png", "\\udx.png"]
    write_csv(path, pd.DataFrame({"path": names, "reason": "is empty"}))
    assert path.read_text(encoding="utf-8").splitlines()[1] == "h\\udce9.png,is empty"
    assert read_table(path, ["path", "reason"])["path"].tolist() == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is not a CSV table"),
        (b"\xff\xfe", "is not a CSV file in UTF-8"),
        (b"path,label\na,1\n", "has no column 'logit'; expected path, label, logit"),
        (b"path,label,logit\na,1\n", "line 2: 2 fields, but the header has 3"),
        (b"path,label,logit\na,1,2,3\n", "line 2: 4 fields, but the header has 3"),
        (b"path,label,logit\na,1,2\nb,yes,3\n", "line 3: label 'yes' is not an integer"),
        (b"path,label,logit\na,1,2\n\nb,0.5,3\n", "line 4: label '0.5' is not an integer"),
        (b"path,label,logit\na,,3\n", "line 2: label '' is not an integer"),
        (b"path,label,logit\na,1,high\n", "line 2: logit 'high' is not a number"),
        (b"path,label,logit,flips\na,1,2,no\n", "line 2: flips 'no' is not True or False"),
    ],
)
def test_what_is_no_table_is_refused_by_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"table.csv: {message}"):
        read_table(path, ["path", "label", "logit"])


def test_undeclared_columns_are_numbers_or_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("path,deletion,note\na,0.25,\nb,,see above\n")
    table = read_table(path)
    np.testing.assert_array_equal(table["deletion"], [0.25, np.nan])
    assert table["note"].tolist() == ["", "see above"]


def test_nothing_reads_a_table_without_types():
    readers = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bread_csv|csv\.reader|csv\.DictReader", path.read_text())
    ]
    assert readers == ["tables.py"]


def test_boxes_of_an_image_whose_name_is_a_number(tmp_path):
    row = ("0012", "HAND", "p", "s", 1, "train")
    columns = ["path", "body_part", "patient", "study", "label", "split"]
    manifest = Manifest(tmp_path, pd.DataFrame([row], columns=columns))
    (tmp_path / "boxes.csv").write_text("path,x0,y0,x1,y1\n0012,1,2,3,4\n")
    assert list(read_boxes(manifest, "boxes.csv")) == ["0012"]


FORMULAS = st.builds(
    str.__add__,
    st.sampled_from(["=", "+", "@", "-", "\t", "\r", "'", "'=", "''-", "-a", "-."]),
    texts,
)


@given(cells=st.lists(texts | FORMULAS, min_size=1, max_size=4))
def test_no_cell_is_a_formula_and_all_are_read_back(cells: list[str], tmp_path_factory):
    path = tmp_path_factory.mktemp("formulas") / "table.csv"
    write_csv(path, pd.DataFrame({"path": cells, "patient": cells, "label": 1, "logit": -0.5}))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    for row in rows:
        for cell in row[:2]:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            assert not re.match(r"-[^\d.]", cell), cell
        assert row[3] == "-0.5"
    read = read_table(path)
    assert read["path"].tolist() == cells
    assert read["patient"].tolist() == cells
