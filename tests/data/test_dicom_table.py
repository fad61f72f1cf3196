"""The manifest that DICOM headers and a table of labels make: joined, and without identifiers."""

import hashlib
import hmac
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run, refused
from dicom_files import write_radiograph
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mura_core.data import dicom_rows, read_manifest, read_salt
from mura_core.errors import DataError
from mura_plugins import PluginError
from mura_plugins.dicom import dataset
from mura_plugins.dicom.headers import Header, read_header

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SALT = b"0123456789abcdef0123456789abcdef"
STUDIES = {"a": "1.2.3.1", "b": "1.2.3.2", "c": "1.2.3.3"}
PRIVATE = {
    "PatientName": "Trillian^McMillan",
    "PatientBirthDate": "19630704",
    "StudyDate": "20200229",
    "SeriesInstanceUID": "1.2.5.5",
    "AccessionNumber": "A55512",
}


def write_image(folder: Path, name: str, patient: str, study: str, **elements) -> Path:
    pixels = np.arange(36).reshape(6, 6) + len(name)
    given = {
        "PatientID": patient, "StudyInstanceUID": STUDIES[study],
        "SOPInstanceUID": f"1.2.9.{sum(map(ord, name))}", "BodyPartExamined": "HAND",
        "ViewPosition": "PA", "ImageLaterality": "L", **PRIVATE, **elements,
    }  # fmt: skip
    return write_radiograph(folder / name, pixels, **given)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three studies of two patients, and other files."""
    folder = tmp_path / "pacs"
    write_image(folder, "x/one.dcm", "MRN77", "a")
    write_image(folder, "x/two", "MRN77", "a", ViewPosition="LL", ImageLaterality=None,
                Laterality="R")  # fmt: skip
    write_image(folder, "y/three.dcm", "MRN77 ", "b", BodyPartExamined=None)
    write_image(folder, "y/four.dcm", "MRN88", "c")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(
        "StudyInstanceUID,label,split\n1.2.3.1,1,train\n1.2.3.2,0,train\n1.2.3.3,0,valid\n"
    )
    return path


@pytest.fixture(autouse=True)
def configuration(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "mura-run"


def hashed(kind: str, identifier: str, salt: bytes = SALT) -> str:
    return hmac.new(salt, f"{kind}\0{identifier}".encode(), hashlib.sha256).hexdigest()[:16]


def test_rows_come_from_the_headers_and_labels_from_the_table(data, labels):
    found = dicom_rows(data, labels, SALT)
    rows = found.table.set_index("path")
    assert list(rows.columns) == [
        "body_part", "patient", "study", "label", "split", "view", "laterality",
    ]  # fmt: skip
    patient, study = hashed("patient", "MRN77"), hashed("study", "1.2.3.1")
    assert rows.loc["x/one.dcm"].tolist() == ["HAND", patient, study, 1, "train", "PA", "L"]
    assert rows.loc["x/two"].tolist() == ["HAND", patient, study, 1, "train", "LL", "R"]
    assert rows.loc["y/three.dcm", ["body_part", "patient", "label"]].tolist() == [
        "UNKNOWN", patient, 0,
    ]  # fmt: skip
    assert rows.loc["y/four.dcm", "patient"] == hashed("patient", "MRN88")
    assert found.left_out == [("notes.txt", "is not DICOM")]
    assert found.unused == 0
    assert found.telling == []


def test_labels_can_be_of_single_images(data, labels):
    one = read_header(data / "x" / "one.dcm").image
    four = read_header(data / "y" / "four.dcm").image
    labels.write_text(f"SOPInstanceUID,label,split\n{one},0,train\n{four},1,valid\n1.2.3,1,train\n")
    found = dicom_rows(data, labels, SALT)
    assert found.table[["path", "label", "split"]].to_numpy().tolist() == [
        ["x/one.dcm", 0, "train"], ["y/four.dcm", 1, "valid"],
    ]  # fmt: skip
    assert found.unused == 1
    assert ("x/two", "has no label in labels.csv") in found.left_out


def test_other_objects_and_copies_are_listed(data, labels):
    (data / "copy.dcm").write_bytes((data / "x" / "one.dcm").read_bytes())
    write_image(data, "report", "MRN77", "a", PixelData=None, Rows=None)
    write_image(data, "nobody", "", "a")
    (data / "cut.dcm").write_bytes((data / "x" / "one.dcm").read_bytes()[:150])
    reasons = dict(dicom_rows(data, labels, SALT).left_out)
    assert reasons["x/one.dcm"] == "is a copy of another file: it has the same SOPInstanceUID"
    assert reasons["report"] == "has no pixels (Digital X-Ray Image Storage - For Presentation)"
    assert reasons["nobody"] == "has no PatientID"
    assert "cut.dcm" in reasons


def test_the_region_and_the_view_can_be_codes(data, labels):
    def code(meaning):
        item = Dataset()
        item.CodeMeaning = meaning
        return [item]

    path = write_image(
        data, "z.dcm", "MRN77", "a", BodyPartExamined=None, ViewPosition="", ImageLaterality=None,
        AnatomicRegionSequence=code("Wrist joint"), ViewCodeSequence=code("postero-anterior"),
    )  # fmt: skip
    header = read_header(path)
    assert (header.body_part, header.view, header.laterality) == (
        "WRIST JOINT", "POSTERO-ANTERIOR", "",
    )  # fmt: skip


def test_labels_and_splits_can_be_words(data, labels):
    labels.write_text("SplitName;label;split;studyinstanceuid\nx;Fracture;Training;1.2.3.1\n"
                      "y;none;Val;1.2.3.3\n")  # fmt: skip
    table = dicom_rows(data, labels, SALT, positive=["fracture"]).table
    assert table[["label", "split"]].drop_duplicates().to_numpy().tolist() == [
        [1, "train"], [0, "valid"],
    ]  # fmt: skip


# The salt ----------------------------------------------------------------------------------------


def test_the_same_salt_gives_the_same_pseudonyms(data, labels):
    def patients(salt):
        return dicom_rows(data, labels, salt).table["patient"].tolist()

    assert patients(SALT) == patients(SALT)
    assert set(patients(SALT)).isdisjoint(patients(SALT[::-1]))
    assert hashed("patient", "x") != hashed("study", "x")


def test_a_salt_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "mine" / "salt"
    salt = read_salt(path)
    assert len(salt) == 64
    assert read_salt(path) == salt
    assert read_salt(tmp_path / "other") != salt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short")
    with pytest.raises(DataError, match=f"^{path}: is no salt: it has 5 characters"):
        read_salt(path)
    with pytest.raises(DataError, match="can't be used as the salt"):
        read_salt(tmp_path)


# What tells who the patient is -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["MRN77/a.dcm", "x/mrn77_1.dcm", "trillian/a", "x/McMillan, T.dcm", "1.2.3.1/a",
     "x/1.2.5.5.dcm", "2020-02-29/a", "x/20200229_a", "29.02.2020", "a55512.dcm", "19630704"],
)  # fmt: skip
def test_a_path_can_tell_who_the_patient_is(data, path):
    header = read_header(data / "x" / "one.dcm")
    assert header.is_told_by(path)


@given(st.text(alphabet="abcxyz/_-. 3", max_size=20))
def test_other_paths_tell_nothing(path):
    header = Header("MRN77", "", "", "", "", "", frozenset({"mrn77", "trillian", "20200229"}))
    assert not header.is_told_by(path)


def contents(folder: Path) -> str:
    """Return the names and the text of all files that were written below a folder."""
    files = [path for path in folder.rglob("*") if not path.is_symlink()]
    return (
        "\n".join(
            [*map(str, folder.rglob("*")), *(path.read_text() for path in files if path.is_file())]
        )
        .replace(str(folder), "")
        .lower()
    )


def test_the_command_writes_a_manifest_without_identifiers(data, labels, tmp_path, configuration):
    (data / "x").rename(data / "MRN77-20200229")
    out = tmp_path / "out"
    out.mkdir()
    arguments = ("dicom-table", data, "--labels", labels, "--out", out / "manifest.csv")
    done = mura_run(*arguments, "--links")
    assert done.exit_code == 0, done.output
    assert f"Made a new salt: {configuration / 'salt'}." in done.output
    assert "4 images of 3 studies and 2 patients" in done.output
    assert "Left out: notes.txt: is not DICOM" in done.stderr
    written = contents(out)
    for secret in ("mrn", "1.2.", "2020", "1963", "trillian", "a55512"):
        assert secret not in written
    first = (out / "manifest.csv").read_bytes()
    assert mura_run(*arguments, "--links").exit_code == 0
    assert (out / "manifest.csv").read_bytes() == first
    assert read_manifest(out).table["split"].tolist() == ["train"] * 3 + ["valid"]
    done = mura_run("prepare", "--data", out, "--size", 4)
    assert "Prepared 4 images" in done.output
    assert "view" in pd.read_csv(out / "manifest.csv").columns


def test_without_links_paths_must_tell_nothing(data, labels, tmp_path):
    out = tmp_path / "manifest.csv"
    done = mura_run("dicom-table", data, "--labels", labels, "--out", out)
    assert done.exit_code == 0, done.output
    assert pd.read_csv(out)["path"].tolist() == [
        "pacs/x/one.dcm", "pacs/x/two", "pacs/y/four.dcm", "pacs/y/three.dcm",
    ]  # fmt: skip
    assert len(read_manifest(out).table) == 4
    out.unlink()
    (data / "x").rename(data / "MRN77")
    message = (
        "the paths of 2 of 4 images contain a patient's name or number, a date or a UID, such as"
        " MRN77/one.dcm; add --links"
    )
    refused(2, message, "dicom-table", data, "--labels", labels, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "line 1 must name the columns StudyInstanceUID or SOPInstanceUID, and label"),
        ("study,label\n1,1\n", "line 1 must name the columns"),
        ("StudyInstanceUID,label\n1.2.3.1,2\n", "line 2: the label '2' is not 0 (normal) or 1"),
        ("StudyInstanceUID,label\n1.2.3.1\n", "line 2: 1 fields, but the header has 2"),
        ("StudyInstanceUID,label\n1.2,1\n1.2,0\n", "line 3: 1.2 has another label or split in"),
        ("StudyInstanceUID,label,split\n1.2,1,dev\n", "line 2: the split 'dev' is not one of"),
        ("StudyInstanceUID,label\n1.2.3.1,\n", "line 2: the label is empty"),
        (
            "StudyInstanceUID,label\n9.9,1\n",
            "has a label; x/one.dcm and 3 others: has no label in labels.csv",
        ),
    ],
)
def test_a_wrong_table_of_labels_is_refused(data, labels, tmp_path, table, message):
    labels.write_text(table)
    out = tmp_path / "manifest.csv"
    refused(1, message, "dicom-table", data, "--labels", labels, "--out", out)
    assert not out.exists()


def test_without_the_extra_one_line_names_it(data, labels, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    dataset._pydicom.cache_clear()
    message = "and 3 others: is DICOM; to read it: pip install 'mura-run[dicom]'"
    refused(1, message, "dicom-table", data, "--labels", labels, "--out", tmp_path / "m.csv")
    dataset._pydicom.cache_clear()
    (tmp_path / "empty").mkdir()
    message = "empty: no DICOM file in it has a label: it holds no files"
    refused(1, message, "dicom-table", tmp_path / "empty", "--labels", labels, "--out",
            tmp_path / "m.csv")  # fmt: skip


def test_wrong_places_are_refused(data, labels, tmp_path):
    command = ("dicom-table", data, "--labels", labels)
    other = tmp_path / "other"
    other.mkdir()
    refused(2, "which must contain", *command, "--out", other / "m.csv")
    refused(2, "with --links, write it to another folder", *command, "--out", data / "m.csv",
            "--links")  # fmt: skip
    refused(2, "must not get the salt", *command, "--out", other / "m.csv", "--links", "--salt",
            other / "salt")  # fmt: skip
    refused(2, "must not get the salt", *command, "--out", other / "m.csv", "--links", "--salt",
            data / "salt")  # fmt: skip
    refused(2, "there is no folder", *command, "--out", tmp_path / "none" / "m.csv")
    assert list(other.iterdir()) == []


def test_a_study_has_one_patient(data, labels):
    write_image(data, "five.dcm", "MRN99", "a")
    with pytest.raises(DataError, match="have one StudyInstanceUID, but two values of PatientID"):
        dicom_rows(data, labels, SALT)


def test_a_header_names_what_is_missing(tmp_path):
    for keyword in ("PatientID", "StudyInstanceUID"):
        path = write_image(tmp_path, "a.dcm", "1", "a", **{keyword: ""})
        with pytest.raises(PluginError, match=f"^has no {keyword}$"):
            read_header(path)
