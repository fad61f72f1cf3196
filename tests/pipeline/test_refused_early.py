"""What can be known before images are read is said before; a failure leaves nothing in the way."""

from pathlib import Path

import pytest
from command_line import mura_run, refused

import mura_core.pipeline.train as train_step
import mura_core.pipeline.train_folds as train_folds
from mura_core.errors import UsageError
from mura_core.files import refuse_unwritable
from mura_core.runs import new_run_folder

SMALL = ("--model", "conv2", "--size", 32, "--epochs", 1)


@pytest.fixture
def no_image_is_read(monkeypatch):
    def read(*_):
        raise AssertionError("images are read")

    monkeypatch.setattr(train_step, "prepare_images", read)


@pytest.mark.parametrize(
    ("status", "message", "options"),
    [
        (2, "takes images of at least 32 x 32 pixels", ["--model", "conv4", "--size", 16]),
        (2, "--explain 'entrails' is not one of", ["--explain", "entrails"]),
        (2, "--layer nope: the network has no layer", ["--explain", "gradcam", "--layer", "nope"]),
        (2, "'0' is not a number above 0", ["--explain", "gradcam", "--explain-images", 0]),
        (
            2,
            "that lists images (No such",
            ["--explain", "gradcam", "--explain-images", "x"],
        ),
        (
            1,
            "gone.png is not one of",
            ["--explain", "gradcam", "--explain-images", "LIST"],
        ),
        (2, "--augment 'melt' is not one of", ["--augment", "melt"]),
        (
            2,
            "--accumulate 11 is more than the 10 batches of 8 that the 80 training",
            ["--accumulate", 11],
        ),
        (2, "use at most 1, or a smaller", ["--accumulate", 2, "--batch-size", 41]),
        (2, "--accumulate 9 is more than the 8 b", ["--accumulate", 9, "--validate", "kfold"]),
        (2, "--accumulate 1000000 is more than", ["--accumulate", 1000000, "--batch-size", 1]),
    ],
)
def test_it_is_refused_before_images_are_read(
    no_image_is_read, mura, tmp_path, status, message, options
):
    (tmp_path / "list.txt").write_text("gone.png\n")
    options = [tmp_path / "list.txt" if option == "LIST" else option for option in options]
    out = tmp_path / "run"
    refused(status, message, "run", "--data", mura, *SMALL, *options, "--out", out)
    assert not out.exists()


def test_an_out_that_cannot_be_a_folder_is_refused_first(no_image_is_read, mura, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "run", tmp_path / "file" / "a" / "run"):
        refused(2, "file is not a folder; name another", "--data", mura, *SMALL, "--out", out)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    message = "used is not empty; name a new folder"
    refused(2, message, "--data", mura, *SMALL, "--out", tmp_path / "used")
    (tmp_path / "used" / "config.yaml").touch()
    message = f"or resume that run: mura-run --resume {tmp_path / 'used'}"
    refused(2, message, "--data", mura, *SMALL, "--out", tmp_path / "used")


def test_the_command_that_failed_can_be_repeated(own_mura: Path, tmp_path):
    image = next(own_mura.rglob("image1.png"))
    content = image.read_bytes()
    image.write_bytes(b"")
    out = tmp_path / "run"
    command = ["train", "--data", own_mura, *SMALL, "--strict", "--out", out]
    refused(1, "1 of 108 images can't be read", *command)
    assert not out.exists()
    image.write_bytes(content)
    done = mura_run(*command)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_a_network_trained_on_pixels_that_changed_meanwhile_is_forgotten(
    own_mura: Path, tmp_path, monkeypatch
):
    fit = train_folds._fit

    def fit_and_damage(training, statistics, context, folder, on=""):
        model = fit(training, statistics, context, folder, on)
        with (context.prepared.folder / "images.npy").open("r+b") as file:
            file.seek(1000)
            byte = file.read(1)[0]
            file.seek(1000)
            file.write(bytes([byte ^ 1]))
        return model

    command = ["train", "--data", own_mura, *SMALL, "--out", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(train_folds, "_fit", fit_and_damage)
        refused(1, "were changed in the cache during the run", *command)
    assert not (tmp_path / "run").exists()
    done = mura_run(*command)
    assert done.exit_code == 0, done.output
    assert (
        "images.npy is damaged at image 1 of 108, so the images are prepared again" in done.stderr
    )


@pytest.mark.parametrize("was_there", [True, False])
def test_a_failure_takes_its_folder_away_unless_an_epoch_is_done(tmp_path, was_there):
    folder = tmp_path / "run"
    if was_there:
        folder.mkdir()

    def fail(*written: str) -> None:
        with new_run_folder(folder):
            for name in written:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail("config.yaml", "folds/1/splits.csv")
    assert folder.exists() == was_there
    with pytest.raises(RuntimeError):
        fail("config.yaml", "folds/1/history.csv")
    assert (folder / "config.yaml").exists()
    with pytest.raises(UsageError, match=r"is not empty; .* mura-run --resume"):
        fail()


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    out = tmp_path / "missing" / "table.csv"
    (tmp_path / "model.keras").touch()
    (tmp_path / "a.png").touch()
    predict = ["predict", "--model-file", tmp_path / "model.keras", tmp_path / "a.png"]
    refused(2, "missing; create it first", *predict, "--out", out)
    refused(2, "is a folder; name a file", *predict, "--out", tmp_path)
    refused(2, "missing; create it first", "compare", tmp_path, tmp_path, "--out", out)
    export = ["export", "--model-file", tmp_path / "model.keras"]
    refused(2, "missing; create it first", *export, "--out", out)
    refuse_unwritable(tmp_path / "new.csv")
    refuse_unwritable(Path("/dev/stdout"))
