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

from mura_core.phantoms import folder as folder_module
from mura_core.phantoms import phantom_folder, plan
from mura_core.phantoms.drawing import draw_image
from mura_core.phantoms.plan import plan_images

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


def open_image(data, path):
    return Image.open(data.parent / path)


# Drawing.


def test_an_image_is_the_same_however_often_it_is_drawn(data):
    for planned in plan_images()[::-150]:  # backwards: what was drawn before must not matter
        drawing = draw_image(planned)
        with open_image(data, planned.path) as saved:
            assert saved.mode == drawing.picture.mode
            assert saved.tobytes() == drawing.picture.tobytes()


def test_a_second_call_draws_nothing(data):
    calls = []
    again = phantom_folder(data.parent.parent, progress=lambda *args: calls.append(args))
    assert again == data
    assert calls == []


def test_the_files_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PATIENT_PAIRS", {"train": 8, "valid": 4})

    def files(processes):
        monkeypatch.setattr(folder_module, "usable_cores", lambda: processes)
        data = phantom_folder(tmp_path / f"{processes}")
        paths = (path for path in data.rglob("*") if path.is_file())
        return {path.relative_to(data): path.read_bytes() for path in paths}

    assert files(1) == files(3)


def test_a_killed_drawing_leaves_nothing_and_the_next_one_succeeds(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PATIENT_PAIRS", {"train": 3, "valid": 2})

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


def test_damaged_phantoms_are_drawn_again_and_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(plan, "PATIENT_PAIRS", {"train": 1, "valid": 1})
    data = phantom_folder(tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    image = next(data.rglob("*.png"))
    for damaged in (data / "boxes.csv", image, data.parent / "checksums.json"):
        caplog.clear()
        if damaged == image:
            image.unlink()
        else:
            content = bytearray(damaged.read_bytes())
            content[len(content) // 2] ^= 1
            damaged.write_bytes(content)
        assert phantom_folder(tmp_path) == data
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == whole
        assert len([message for message in caplog.messages if "are drawn again" in message]) == 1


# Layout.


def test_the_csv_files_list_exactly_the_images_on_disk(data):
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


def test_the_numbers_of_images(data):
    assert 800 <= len(image_paths(data, "train")) <= 1000
    assert 220 <= len(image_paths(data, "valid")) <= 360
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
        with open_image(data, path) as image:
            modes.add(image.mode)
            sizes.add(image.size)
            if image.mode == "RGB":
                red, green, blue = (channel.tobytes() for channel in image.split())
                assert red == green == blue
    assert modes == {"L", "RGB"}
    assert len(sizes) > 50
    assert any(width > height for width, height in sizes)
    assert any(width < height for width, height in sizes)


# Boxes.


@pytest.mark.parametrize("name", ["boxes.csv", "letters.csv"])
def test_boxes_lie_inside_their_images(data, name):
    for path, *box in rows(data / name)[1:]:
        x0, y0, x1, y1 = map(int, box[:4])
        with open_image(data, path) as image:
            assert 0 <= x0 < x1 <= image.width
            assert 0 <= y0 < y1 <= image.height


def test_every_abnormal_image_has_one_box_and_no_normal_image_has_any(data):
    header, *boxes = rows(data / "boxes.csv")
    assert header == ["path", "x0", "y0", "x1", "y1"]
    assert [path for path, *_ in boxes] == [
        path for path in all_image_paths(data) if is_abnormal(path)
    ]


def test_letters_are_on_images_of_both_classes_and_missing_on_some(data):
    header, *letters = rows(data / "letters.csv")
    assert header == ["path", "x0", "y0", "x1", "y1", "text"]
    lettered = {path for path, *_ in letters}
    assert {text for *_, text in letters} >= {"L", "R"}
    for abnormal in (True, False):
        of_class = [path for path in all_image_paths(data) if is_abnormal(path) == abnormal]
        assert 0 < sum(path in lettered for path in of_class) < len(of_class)


def test_the_same_image_without_its_finding_differs_mostly_inside_the_box():
    abnormal = [planned for planned in plan_images() if planned.finding is not None]
    for planned in abnormal[::60]:
        with_finding = draw_image(planned)
        healthy = draw_image(replace(planned, finding=None))
        change = np.abs(
            np.asarray(with_finding.picture.convert("L"), dtype=float)
            - np.asarray(healthy.picture.convert("L"), dtype=float)
        )
        x0, y0, x1, y1 = with_finding.box
        assert change[y0:y1, x0:x1].mean() > 3 * change.mean()


# Give-aways.


def nuisances(data, split):
    """Return what one can know of each image without looking for a finding: (features, labels)."""
    letters = defaultdict(list)
    for path, *box_and_text in rows(data / "letters.csv")[1:]:
        letters[path].append(box_and_text)
    paths = image_paths(data, split)
    images_in_study = defaultdict(int)
    for path in paths:
        images_in_study[study_of(path)] += 1
    parts = sorted({path.split("/")[2] for path in all_image_paths(data)})
    features = []
    for path in paths:
        with open_image(data, path) as image:
            grey = np.asarray(image.convert("L"), dtype=float)
            described = [image.width, image.height, image.width / image.height, image.mode == "RGB"]
        described += [path.split("/")[2] == part for part in parts]
        described += [grey.mean(), grey.std(), grey.max(), (grey == 0).mean(), (grey == 255).mean()]
        described += np.percentile(grey, [1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5]).tolist()
        described += np.histogram(grey, bins=16, range=(0, 256))[0].tolist()
        texts = {text: list(map(int, box)) for *box, text in letters[path]}
        described += [len(texts), "L" in texts, "R" in texts]
        described += next(iter(texts.values()), [-1] * 4)
        described.append(images_in_study[study_of(path)])
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
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "set()"
