"""Which patients train and which are judged: nobody on two sides, every image in one fold."""

import numpy as np
import pandas as pd
import pytest

from mura_core.data import trainings
from mura_core.data.splits import hold_out, with_tuning
from mura_core.errors import DataError


def random_manifest(seed: int) -> pd.DataFrame:
    """A manifest whose patients may have several parts, studies and labels, some very rare."""
    random = np.random.default_rng(seed)
    patients = int(random.integers(30, 90))
    images = int(random.integers(2 * patients, 6 * patients))
    parts = np.array([f"PART{number}" for number in range(random.integers(1, 8))])
    patient = np.concatenate([np.arange(patients), random.integers(0, patients, images - patients)])
    shares = random.dirichlet(np.ones(len(parts)))
    return pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(images)],
            "body_part": random.choice(parts, images, p=shares),
            "patient": [f"patient{number:05}" for number in patient],
            "study": random.integers(1, 4, images).astype(str),
            "label": (random.random(images) < random.uniform(0.1, 0.6)).astype(int),
            "split": np.where(patient % 5 == 0, "valid", "train"),
        }
    )


def divided(table: pd.DataFrame, validate: str, **options):
    settings = {"proportion": 0.8, "folds": 5, "seed": 0, "tunes": False} | options
    return trainings(table, validate, **settings)


@pytest.mark.parametrize("seed", range(200))
def test_no_patient_is_on_two_sides(seed):
    table = random_manifest(seed)
    validate = ("split", "holdout", "kfold")[seed % 3]
    judged = []
    for training in divided(table, validate, seed=seed, tunes=seed % 2 == 0):
        assert training.table["path"].tolist() == table["path"].tolist()
        sides = training.table.groupby("patient")["split"].nunique()
        assert (sides == 1).all()
        judged += training.table["path"][training.table["split"] == "valid"].tolist()
        if validate != "split":
            # The data's own valid images are left alone.
            assert (training.table["split"][table["split"] == "valid"] == "unused").all()
    if validate == "kfold":
        assert sorted(judged) == sorted(table["path"][table["split"] == "train"])


def test_folds_are_dealt_by_label_and_part_and_by_the_seed():
    table = random_manifest(7).assign(split="train")
    table = pd.concat(
        [table.assign(path=f"{n}" + table["path"], patient=f"{n}" + table["patient"])
         for n in range(10)]
    ).reset_index(drop=True)  # fmt: skip
    folds = divided(table, "kfold")
    whole = table.groupby(["body_part", "label"]).size() / len(table)
    for training in folds:
        judged = training.table[training.table["split"] == "valid"]
        assert len(judged) / len(table) == pytest.approx(0.2, abs=0.01)
        shares = judged.groupby(["body_part", "label"]).size() / len(judged)
        assert (shares - whole).abs().max() < 0.015
    again, other = divided(table, "kfold"), divided(table, "kfold", seed=1)
    for one, same in zip(folds, again, strict=True):
        pd.testing.assert_frame_equal(one.table, same.table)
    assert not folds[0].table.equals(other[0].table)
    # The folds aren't in the order of the patients.
    first = sorted(set(folds[0].table["patient"][folds[0].table["split"] == "valid"]))
    assert first[-1] > sorted(set(table["patient"]))[len(set(table["patient"])) // 2]


@pytest.mark.parametrize("proportion", [0.5, 0.7, 0.75, 0.8, 0.9])
def test_a_proportion_of_the_images_trains(proportion):
    table = random_manifest(3)
    split = hold_out(table, seed=0, proportion=proportion)
    assert np.mean(split == "train") == pytest.approx(proportion, abs=0.03)


def test_a_tenth_of_the_training_patients_is_held_out_to_choose_by():
    table = random_manifest(4)
    tuned = with_tuning(table, seed=0)
    training = table["split"] == "train"
    assert (tuned["split"][~training] == "valid").all()
    assert np.mean(tuned["split"][training] == "tune") == pytest.approx(0.1, abs=0.03)
    pd.testing.assert_frame_equal(with_tuning(table, seed=0, tunes=False), table)


def test_too_few_patients_are_refused():
    table = random_manifest(5)
    few = table[table["patient"].isin(table["patient"].unique()[:6])].assign(split="train")
    with pytest.raises(DataError, match="6 patients are too few to split into 7 groups"):
        divided(few, "kfold", folds=7)


def pilot(patients: int, parts: int, seed: int) -> pd.DataFrame:
    """A pilot of a few patients, each with one or two images, in several body parts."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), random.integers(1, 3, patients))
    return pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(len(patient))],
            "body_part": [f"PART{number % parts}" for number in patient],
            "patient": [f"patient{number:05}" for number in patient],
            "study": "1",
            "label": [(number // parts) % 2 for number in patient],
            "split": "train",
        }
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("parts", [1, 3, 7])
@pytest.mark.parametrize("patients", [5, 6, 9, 12])
def test_a_small_pilot_is_dealt_as_well_as_it_can_be(patients, parts, seed):
    table = pilot(patients, parts, seed)
    held_out = hold_out(table, seed=seed)
    sides = pd.Series(held_out).groupby(table["patient"]).nunique()
    assert (sides == 1).all()
    share = pd.Series(held_out == "valid").groupby(table["patient"]).first().sum()
    assert 1 <= share <= patients // 2
    folds = divided(table, "kfold", folds=5, seed=seed)
    judged = [set(f.table["patient"][f.table["split"] == "valid"]) for f in folds]
    assert all(judged)
    assert sorted(set().union(*judged)) == sorted(set(table["patient"]))
    assert sum(map(len, judged)) == patients


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("patients", range(1, 5))
def test_a_pilot_of_fewer_patients_than_groups_is_refused_in_one_line(patients):
    with pytest.raises(
        DataError, match=f"{patients} patients are too few to split into 5"
    ) as error:
        hold_out(pilot(patients, 2, 0), seed=0)
    assert "\n" not in str(error.value)
