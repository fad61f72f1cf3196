"""Patient and study are read from folders, whatever lies between, or refused: never guessed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mura_core.data.layouts.structure import read_folders
from mura_core.errors import DataError

DATES = ["2018-05-03", "20180503", "2018_05", "03.05.2018", "2018-05-03_0915"]
SERIES = ["series1", "Series_002", "SE0001", "ser-3", "study2", "visit1", "exam_7"]


def studies(pattern: str, patients: list[str]) -> list[tuple[str, ...]]:
    """Return the folders of each patient's image, labelled in turn."""
    labels = ("negative", "positive")
    return [
        tuple(pattern.format(patient=patient, label=labels[n % 2]).split("/"))
        for n, patient in enumerate(patients)
    ]


@pytest.mark.parametrize("between", [*DATES, *SERIES])
@pytest.mark.parametrize("patients", [["patient1", "patient2"], ["0017", "0018"], ["sub-A1", "p2"]])
def test_folders_between_patient_and_study_belong_to_the_study(between, patients):
    folders = studies(f"HAND/{{patient}}/{between}/study1_{{label}}", patients)
    places = read_folders(folders)
    assert [places[folder].patient for folder in folders] == patients
    assert {place.body_part for place in places.values()} == {"HAND"}
    assert {place.study for place in places.values()} == {f"{between}/study1"}
    assert [places[folder].label for folder in folders] == [0, 1]


@pytest.mark.parametrize("below", [*SERIES[:4], "AP", "lateral", "images", "view2"])
def test_folders_of_series_below_the_study_dont_tell_studies_apart(below):
    folders = studies(f"HAND/{{patient}}/study1_{{label}}/{below}", ["17", "18"])
    places = read_folders(folders)
    assert [places[folder].patient for folder in folders] == ["17", "18"]
    assert {place.study for place in places.values()} == {"study1"}


@pytest.mark.parametrize("below", DATES)
def test_dates_below_the_label_tell_studies_apart(below):
    (place, _) = read_folders(studies(f"HAND/{{patient}}/s_{{label}}/{below}", ["1", "2"])).values()
    assert place.study == f"s/{below}"


def test_a_folder_that_only_says_the_label_is_not_the_study():
    folders = studies("HAND/{patient}/2018-05-03/{label}", ["patient1", "patient2"])
    assert {place.study for place in read_folders(folders).values()} == {"2018-05-03"}


@pytest.mark.parametrize(
    ("pattern", "patients", "message"),
    [
        ("{patient}/study1_{label}", ["patient1", "patient2"], "no body part and patient"),
        ("{patient}/HAND/study1_{label}", ["patient1", "patient2"], "the patient 'HAND'"),
        ("{patient}/HAND2/study1_{label}", ["patient1", "patient2"], "the patient 'HAND2'"),
        ("HAND/{patient}/2018-05-03/study1_{label}", ["smith", "jones"], "'jones' lies where"),
        ("data/HAND/{patient}/study1_{label}", ["20180503", "20180504"], "'HAND' lies where"),
        ("HAND/{patient}/study1_{label}/other", ["1", "2"], "'other' lies below the study"),
        ("HAND/{patient}/left/study1_{label}", ["17", "18"], "body part '17', the patient 'left'"),
        ("{patient}/left/study1_{label}", ["17", "18"], "body part '17', the patient 'left'"),
        ("HAND/{patient}/L1/study1_{label}", ["smith", "jones"], "the patient 'L1' and the study"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was(pattern, patients, message):
    folders = studies(pattern, patients)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_folders(folders)
    assert "/".join(min(folders)[:2]) in str(error.value)
    assert "expected are folders" in str(error.value)


def test_numbers_that_could_be_years_are_patients_where_others_cant():
    folders = studies("HAND/{patient}/study1_{label}", ["1999", "2018", "17"])
    assert {place.patient for place in read_folders(folders).values()} == {"1999", "2018", "17"}
    folders = studies("data/HAND/{patient}/study1_{label}", ["1999", "2018", "17"])
    assert {place.body_part for place in read_folders(folders).values()} == {"HAND"}


def test_an_outer_folder_named_like_a_patient_is_none():
    folders = studies("p2019/HAND/{patient}/study1_{label}", ["patient1", "patient2"])
    places = read_folders(folders)
    assert {place.patient for place in places.values()} == {"patient1", "patient2"}
    assert {place.body_part for place in places.values()} == {"HAND"}


def test_a_patient_may_have_several_parts():
    folders = [(part, "17", "2018-05-03", "study1_positive") for part in ("HAND", "KNEE")]
    assert {place.patient for place in read_folders(folders).values()} == {"17"}


def test_patients_may_have_names():
    folders = studies("HAND/{patient}/study1_{label}", ["smith", "jones"])
    assert {place.patient for place in read_folders(folders).values()} == {"smith", "jones"}


names = st.from_regex(r"[A-Z]{2,6}[0-9]{0,2}", fullmatch=True)


@given(
    part=st.sampled_from(["XR_ELBOW", "Hand", "left knee"]),
    patient=st.sampled_from(["patient00012", "P-7", "subject_3", "PAT12"]),
    between=st.lists(names | st.sampled_from(DATES + SERIES), max_size=3),
    below=st.lists(st.sampled_from(SERIES[:4]), max_size=2),
    split=st.sampled_from(["", "train", "Validation", "TEST"]),
    level=st.integers(0, 2),
)
def test_a_patient_named_as_usual_is_always_the_patient(
    part, patient, between, below, split, level
):
    above = [part, patient, *between]
    if split:
        above.insert(level, split)
    folders = (*above, "study1_positive", *below)
    (place,) = read_folders([folders]).values()
    assert (place.body_part, place.patient, place.label) == (part, patient, 1)
    assert place.study == "/".join([*between, "study1"])
