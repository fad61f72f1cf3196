"""Body parts are found by any usual name, and may be called anything."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import mura_run

from mura_core.data import Manifest, file_name_of, write_csv_by_part
from mura_core.report.contact_sheets import sheet_of


def manifest_of(parts: list[str]) -> Manifest:
    rows = [(f"{n}.png", part, f"p{n}", "s", n % 2, "train") for n, part in enumerate(parts)]
    names = ["path", "body_part", "patient", "study", "label", "split"]
    return Manifest(Path(), pd.DataFrame(rows, columns=names))


@pytest.mark.parametrize("name", ["elbow", "Elbow", "ELBOW", "XR_ELBOW", "xr_elbow"])
def test_all_body_parts_of_a_name_are_taken_and_said(name):
    manifest = manifest_of(["XR_ELBOW", "Elbow", "XR_WRIST"]).of([name])
    assert set(manifest.table["body_part"]) == {"XR_ELBOW", "Elbow"}
    assert manifest.notes == (f"--body-part {name} takes Elbow and XR_ELBOW.",)


def test_several_names_may_mean_the_same_parts():
    manifest = manifest_of(["XR_ELBOW", "Elbow", "XR_WRIST"])
    assert len(manifest.of(["elbow", "wrist"]).table) == 3
    assert manifest.of(["wrist"]).notes == ()


def test_what_is_taken_is_said_on_the_console(tmp_path):
    table = manifest_of(["XR_ELBOW", "Elbow", "XR_WRIST"] * 6).table.drop(columns="split")
    table.to_csv(tmp_path / "images.csv", index=False)
    (tmp_path / "0.png").touch()
    done = mura_run("prepare", "--data", tmp_path / "images.csv", "--body-part", "elbow")
    assert "--body-part elbow takes Elbow and XR_ELBOW." in done.stdout


PARTS = ["HAND/left", "HAND-left", "HAND\\left", "../up", "Fuß", "a" * 300, "hand left", "."]


def test_every_body_part_has_files_of_its_own(tmp_path):
    manifest = manifest_of(PARTS)
    written = write_csv_by_part(manifest, tmp_path / "parts")
    assert len(set(written)) == len(PARTS)
    assert {path.parent for path in written} == {tmp_path / "parts"}
    lines = sorted(line for path in written for line in path.read_text().splitlines())
    assert lines == sorted(manifest.table["path"])
    assert len({sheet_of(part) for part in PARTS}) == len(PARTS)


def test_usual_names_stay_as_they_are():
    for part in ("XR_ELBOW", "Hand", "left.knee"):
        assert file_name_of(part) == part
