"""The embedded data set is complete, repeatable, and gives nothing away but its findings."""

import csv
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mura_core import phantoms
from mura_core.phantoms import phantom_folder

SPLITS = ("train", "valid")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return the folder of the whole drawn data set."""
    return phantom_folder(tmp_path_factory.mktemp("cache"))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def image_paths(data, split):
    return [path for (path,) in rows(data / f"{split}_image_paths.csv")]


def all_image_paths(data):
    return [path for split in SPLITS for path in image_paths(data, split)]


def is_abnormal(path):
    return "_positive/" in path


def patient_of(path):
    return path.split("/")[3]


def study_of(path):
    return path.rpartition("/")[0] + "/"


def open_film(data, path):
    return Image.open(data.parent / path)


# Drawing.


def test_a_film_is_the_same_however_often_it_is_drawn(data):
    films = phantoms.plan_films()
    for film in films[::-150]:  # backwards: what was drawn before must not matter
        drawing = phantoms.draw_film(film)
        with open_film(data, film.path) as saved:
            assert saved.mode == drawing.picture.mode
            assert saved.tobytes() == drawing.picture.tobytes()


def test_a_second_call_draws_nothing(data):
    calls = []
    again = phantom_folder(data.parent.parent, progress=lambda *args: calls.append(args))
    assert again == data
    assert calls == []


def test_a_killed_drawing_leaves_nothing_and_the_next_one_succeeds(tmp_path, monkeypatch):
    monkeypatch.setattr(phantoms, "PATIENT_PAIRS", {"train": 3, "valid": 2})

    def kill(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phantom_folder(tmp_path / "cache", progress=kill)
    assert list((tmp_path / "cache").iterdir()) == []

    calls = []
    folder = phantom_folder(tmp_path / "cache", progress=lambda *args: calls.append(args))
    total = len(list(folder.rglob("*.png")))
    assert calls == [(done, total) for done in range(1, total + 1)]


# Layout.


def test_the_csv_files_list_exactly_the_films_on_disk(data):
    assert data.name == "PHANTOMS"
    on_disk = {path.relative_to(data.parent).as_posix() for path in data.rglob("*.png")}
    listed = all_image_paths(data)
    assert len(listed) == len(set(listed))
    assert set(listed) == on_disk
    for split in SPLITS:
        assert all(path.startswith(f"PHANTOMS/{split}/XR_") for path in image_paths(data, split))


@pytest.mark.parametrize("split", SPLITS)
def test_the_studies_carry_the_label_of_their_folder(data, split):
    studies = rows(data / f"{split}_labeled_studies.csv")
    assert [study for study, _ in studies] == list(
        dict.fromkeys(study_of(path) for path in image_paths(data, split))
    )
    assert all(label == str(int(is_abnormal(study))) for study, label in studies)


def test_the_csv_files_have_unix_line_ends(data):
    for path in data.glob("*.csv"):
        assert b"\r" not in path.read_bytes()


def test_the_readme_says_that_no_patient_is_shown(data):
    assert "no patient" in (data / "README.txt").read_text(encoding="utf-8")


# Variety.


def test_the_numbers_of_films(data):
    assert 1100 <= len(image_paths(data, "train")) <= 1300
    assert 350 <= len(image_paths(data, "valid")) <= 400
    assert np.mean([is_abnormal(path) for path in all_image_paths(data)]) == pytest.approx(
        0.5, abs=0.05
    )


def test_no_patient_is_in_both_splits(data):
    train, valid = ({patient_of(path) for path in image_paths(data, split)} for split in SPLITS)
    assert train.isdisjoint(valid)


@pytest.mark.parametrize("split", SPLITS)
def test_some_patients_have_several_studies_labels_or_parts(data, split):
    studies, labels, parts = defaultdict(set), defaultdict(set), defaultdict(set)
    for path in image_paths(data, split):
        patient = patient_of(path)
        studies[patient, path.split("/")[2]].add(study_of(path))
        labels[patient].add(is_abnormal(path))
        parts[patient].add(path.split("/")[2])
    for seen in (studies, labels, parts):
        assert any(len(values) > 1 for values in seen.values())
        assert any(len(values) == 1 for values in seen.values())


def test_modes_and_sizes_vary(data):
    modes, sizes = set(), set()
    for path in image_paths(data, "valid"):
        with open_film(data, path) as film:
            modes.add(film.mode)
            sizes.add(film.size)
            if film.mode == "RGB":
                red, green, blue = (channel.tobytes() for channel in film.split())
                assert red == green == blue
    assert modes == {"L", "RGB"}
    assert len(sizes) > 50
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


# Boxes.


@pytest.mark.parametrize("name", ["boxes.csv", "letters.csv"])
def test_boxes_lie_inside_their_films(data, name):
    for path, *box in rows(data / name)[1:]:
        x0, y0, x1, y1 = map(int, box[:4])
        with open_film(data, path) as film:
            assert 0 <= x0 < x1 <= film.width
            assert 0 <= y0 < y1 <= film.height


def test_every_abnormal_film_has_one_box_and_no_normal_film_has_any(data):
    header, *boxes = rows(data / "boxes.csv")
    assert header == ["path", "x0", "y0", "x1", "y1"]
    assert [path for path, *_ in boxes] == [
        path for path in all_image_paths(data) if is_abnormal(path)
    ]


def test_letters_are_on_films_of_both_classes_and_missing_on_some(data):
    header, *letters = rows(data / "letters.csv")
    assert header == ["path", "x0", "y0", "x1", "y1", "text"]
    lettered = {path for path, *_ in letters}
    assert {text for *_, text in letters} >= {"L", "R"}
    for abnormal in (True, False):
        of_class = [path for path in all_image_paths(data) if is_abnormal(path) == abnormal]
        assert 0 < sum(path in lettered for path in of_class) < len(of_class)


def test_a_healthy_twin_differs_mostly_inside_the_box(monkeypatch):
    """The box is where the finding is: the same film without it differs there most."""
    for film in [film for film in phantoms.plan_films() if film.finding is not None][::60]:
        with_finding = phantoms.draw_film(film)
        healthy = phantoms.draw_film(replace(film, finding=None))
        change = np.abs(
            np.asarray(with_finding.picture.convert("L"), dtype=float)
            - np.asarray(healthy.picture.convert("L"), dtype=float)
        )
        x0, y0, x1, y1 = with_finding.finding
        assert change[y0:y1, x0:x1].mean() > 3 * change.mean()


# Giveaways.


def nuisances(data, split):
    """Return what one can know of each film without looking for a finding: (films, features)."""
    letters = defaultdict(list)
    for path, *box_and_text in rows(data / "letters.csv")[1:]:
        letters[path].append(box_and_text)
    paths = image_paths(data, split)
    films_in_study = defaultdict(int)
    for path in paths:
        films_in_study[study_of(path)] += 1
    parts = sorted({path.split("/")[2] for path in all_image_paths(data)})
    features = []
    for path in paths:
        with open_film(data, path) as film:
            grey = np.asarray(film.convert("L"), dtype=float)
            described = [film.width, film.height, film.width / film.height, film.mode == "RGB"]
        described += [path.split("/")[2] == part for part in parts]
        described += [grey.mean(), grey.std(), grey.max(), (grey == 0).mean(), (grey == 255).mean()]
        described += np.percentile(grey, [1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5]).tolist()
        described += np.histogram(grey, bins=16, range=(0, 256))[0].tolist()
        texts = {text: list(map(int, box)) for *box, text in letters[path]}
        described += [len(texts), "L" in texts, "R" in texts]
        described += next(iter(texts.values()), [-1] * 4)
        described.append(films_in_study[study_of(path)])
        features.append(described)
    return np.array(features, dtype=float), np.array([is_abnormal(path) for path in paths])


@pytest.mark.slow
def test_nothing_but_the_finding_tells_the_label(data):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train_features, train_labels = nuisances(data, "train")
    valid_features, valid_labels = nuisances(data, "valid")
    for classifier in (
        HistGradientBoostingClassifier(random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
    ):
        classifier.fit(train_features, train_labels)
        scores = classifier.predict_proba(valid_features)[:, 1]
        assert roc_auc_score(valid_labels, scores) == pytest.approx(0.5, abs=0.06)


def test_importing_the_drawing_loads_no_tensorflow():

    code = (
        "import sys, mura_core.phantoms;"
        "print({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert done.stdout.strip() == "set()"
