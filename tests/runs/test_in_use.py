"""What killed processes leave in folders is neither in the way nor kept."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import SMALL, mura_run, own_process, refused

from mura_core.errors import DataError, UsageError
from mura_core.files import refuse_unwritable, remove_leftovers, replacing, temporary_sibling
from mura_core.runs import in_use, new_run_folder, refuse_used_folder

WAIT = """
import sys
from pathlib import Path
from mura_core.runs import new_run_folder
folder = Path(sys.argv[1])
with new_run_folder(folder):
    for name in sys.argv[2:]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    print("in it", flush=True)
    sys.stdin.read()
"""


def start(folder: Path, *names: str) -> subprocess.Popen:
    """Start a process that uses a run folder, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, str(folder), *names],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "in it\n"
    return process


def end(process: subprocess.Popen, number: int) -> None:
    process.send_signal(number)
    process.communicate()


def ended() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("config.yaml",),
        ("config.yaml", "environment.json", "counts.csv", "seeds/7/splits.csv"),
        ("config.yaml", f".splits.{2**22 + 1}.csv", "folds/1/statistics.npz"),
        ("left_out.csv", "heatmaps/gradcam/a.npy"),
    ],
)
def test_a_killed_start_is_not_in_the_way(tmp_path: Path, names):
    folder = tmp_path / "run"
    end(start(folder, *names), signal.SIGKILL)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(names) + 1
    refuse_used_folder(folder)
    with new_run_folder(folder):
        assert len(list(folder.iterdir())) == 1  # its own mark
        (folder / "history.csv").touch()
    assert [path.name for path in folder.iterdir()] == ["history.csv"]


@pytest.mark.parametrize(
    "name",
    ["history.csv", "model.keras", "folds/2/history.csv", "seeds/1/checkpoint.npz", "notes.txt",
     "mine/config.txt", "predictions.csv", ".notes", "shuffled/model.keras"],
)  # fmt: skip
def test_work_of_a_killed_process_is_kept(tmp_path: Path, name):
    end(start(tmp_path / "run", "config.yaml", name), signal.SIGKILL)
    with pytest.raises(UsageError, match=r"is not empty; .* mura-run --resume"):
        refuse_used_folder(tmp_path / "run")
    assert (tmp_path / "run" / name).exists()


def test_files_without_the_mark_of_a_process_are_somebodys(tmp_path: Path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UsageError, match="is not empty"):
        refuse_used_folder(tmp_path)


def test_a_folder_in_use_is_refused_to_others_and_left_alone(tmp_path: Path):
    folder = tmp_path / "run"
    process = start(folder, "config.yaml")
    told = rf"is used by process {process.pid}: wait until it ends"
    for attempt in (new_run_folder, in_use):
        with pytest.raises(UsageError, match=told), attempt(folder):
            pass
    assert (folder / "config.yaml").exists()
    process.communicate("")
    assert process.returncode == 0
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_a_mark_of_another_machine_counts_for_a_day(tmp_path: Path):
    (tmp_path / "config.yaml").touch()
    mark = tmp_path / ".running.1-0123ab.txt"
    mark.touch()
    with pytest.raises(UsageError, match="is not empty"):
        refuse_used_folder(tmp_path)
    with in_use(tmp_path):  # a run that another machine stopped can be resumed
        pass
    two_days_ago = time.time() - 2 * 86400
    os.utime(mark, (two_days_ago, two_days_ago))
    refuse_used_folder(tmp_path)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, DataError])
def test_a_start_that_is_stopped_or_refused_leaves_nothing(tmp_path: Path, kind):
    def fail() -> None:
        with new_run_folder(tmp_path / "run"):
            (tmp_path / "run" / "config.yaml").touch()
            raise kind("stopped")

    with pytest.raises(kind):
        fail()
    assert not (tmp_path / "run").exists()


def test_only_temporary_files_of_ended_processes_are_removed(tmp_path: Path):
    gone, folder = ended(), tmp_path / "below"
    folder.mkdir()
    swept = [f".metrics.{gone}.json", f".a.b.{gone}.csv", f".model.{os.getpid()}.keras",
             f".saved.{gone}", f".huge.{10**30}.csv"]  # fmt: skip
    kept = ["metrics.json", f"metrics.{gone}.json", f".metrics.{os.getppid()}.json", ".hidden",
            ".a.json", ".a.b.json", f".a.{gone}-abcdef.json", f"{gone}.csv"]  # fmt: skip
    for where in (tmp_path, folder):
        for name in (*swept, *kept):
            (where / name).touch()
        (where / f".savedmodel.{gone}").mkdir()
        (where / f".savedmodel.{gone}" / "variables").touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "below"}
    remove_leftovers(tmp_path, below=True)
    assert {path.name for path in folder.iterdir()} == set(kept)
    remove_leftovers(tmp_path / "missing")


def test_only_own_temporary_files_are_removed_where_the_user_writes(tmp_path: Path):
    name = temporary_sibling(tmp_path / "table.csv").name
    killed = name.replace(str(os.getpid()), str(ended()))
    others = [f".table.{ended()}.csv", ".table.2019.csv", killed.replace("table", "other"),
              killed.replace(".csv", ".txt"), "table.csv"]  # fmt: skip
    for one in (killed, *others):
        (tmp_path / one).touch()
    refuse_unwritable(tmp_path / "table.csv")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_a_folder_deleted_during_a_run_is_no_further_error(tmp_path: Path):
    def fail() -> None:
        with new_run_folder(tmp_path / "run"):
            shutil.rmtree(tmp_path / "run")
            raise DataError("it is gone")

    with pytest.raises(DataError, match="it is gone"):
        fail()


def test_a_file_being_written_is_not_taken_for_left_over(tmp_path: Path):
    with replacing(tmp_path / "a.csv") as file:
        sweep = f"from mura_core.files import *; remove_leftovers(Path({str(tmp_path)!r}))"
        subprocess.run([sys.executable, "-c", sweep], check=True)
        file.write("x")
    assert (tmp_path / "a.csv").read_text() == "x"
    assert temporary_sibling(tmp_path / "a.csv").name.startswith(f".a.{os.getpid()}-")


@pytest.mark.slow
def test_the_same_command_works_after_a_kill_before_the_first_epoch(own_mura: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = ("train", "--data", own_mura, "--out", out, "--model", "conv2", *SMALL)
    with subprocess.Popen(own_process(*command), stdout=subprocess.PIPE, text=True) as process:
        while not (out / "config.yaml").exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert (out / "config.yaml").exists()
    assert not (out / "history.csv").exists()
    done = mura_run(*command)
    assert done.exit_code == 0, done.output
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    refused(2, "is not empty; name a new folder", *command)
