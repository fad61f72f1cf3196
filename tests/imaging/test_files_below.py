"""Every file below a folder is an image, or is left out with a reason."""

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from data_sets import write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mura_core.errors import DataError
from mura_core.imaging import files_below, image_files, is_litter, read_radiograph

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the images and the reasons of the other files, by path in the folder."""
    below = files_below(folder)
    reasons = {file.path.relative_to(folder).as_posix(): file.reason for file in below.left_out}
    return [path.relative_to(folder).as_posix() for path in below.images], reasons


def test_images_are_found_and_all_others_named(tmp_path: Path):
    touch(*(tmp_path / name for name in ("b.png", "a/c.JPG", "a/notes.txt", "a.png/d.Tiff")))
    images, reasons = found(tmp_path)
    assert images == ["a/c.JPG", "a.png/d.Tiff", "b.png"]
    assert reasons == {"a/notes.txt": "is not a supported image format (.txt)"}


names = st.sampled_from(
    ["a.png", "b.jpeg", "c.txt", "d", "1.2.840", "._a.png", "Thumbs.db", "e.tar.gz", "f.png~"]
)
folders = st.sampled_from(["x", "y.png", ".Trash-1000", "__MACOSX", "z", "@eaDir"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.sets(st.tuples(st.lists(folders, max_size=3), names).map(
    lambda parts: "/".join([*parts[0], parts[1]])), max_size=12))  # fmt: skip
def test_each_file_is_listed_once(tmp_path_factory, paths):
    folder = tmp_path_factory.mktemp("files")
    touch(*(folder / path for path in paths))
    images, reasons = found(folder)
    assert sorted([*images, *reasons]) == sorted(paths)
    litter = {path for path in paths if any(map(is_litter, path.split("/")))}
    assert {path for path, reason in reasons.items() if "is hidden" in reason} == litter
    assert set(images) == {p for p in paths - litter if p.endswith((".png", ".jpeg"))}


@pytest.mark.parametrize(
    "name",
    [
        "._image1.png", ".DS_Store", "Thumbs.db", "thumbs.DB", "desktop.ini", ".hidden.png",
        "__MACOSX/image1.png", ".ipynb_checkpoints/image1-checkpoint.png", "@eaDir/a/SMALL.jpg",
        ".Trash-1000/files/a.png", ".thumbnails/a.png", "$RECYCLE.BIN/a.png",
    ],
)  # fmt: skip
def test_litter_is_never_an_image(tmp_path: Path, name: str):
    touch(tmp_path / name)
    assert found(tmp_path) == ([], {name: "is hidden, or a file of an operating system"})


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_an_image_without_suffix_is_recognised_by_its_content(tmp_path: Path, kind: str):
    for name in ("image1", "1.2.840.113619"):
        Image.fromarray(PIXELS).save(tmp_path / name, format=kind)
    (tmp_path / "README").write_text("BM is how a bitmap starts")
    (tmp_path / "empty").touch()
    images, reasons = found(tmp_path)
    assert images == ["1.2.840.113619", "image1"]
    assert set(reasons) == {"README", "empty"}
    assert set(reasons.values()) == {"has no suffix and not the content of an image"}
    assert read_radiograph(tmp_path / "image1").shape == PIXELS.shape


def test_a_plugins_signatures_are_tried_where_no_suffix_is_known(tmp_path: Path):
    dicom = bytes(128) + b"DICM"
    for name in ("a.ima", "1.2.840", "b", "c.png", "d.txt"):
        (tmp_path / name).write_bytes(b"no image" if name == "d.txt" else dicom)
    (tmp_path / "short").write_bytes(b"DICM")
    images = files_below(tmp_path, (".png", (128, b"DICM"))).images
    assert [path.name for path in images] == ["1.2.840", "a.ima", "b", "c.png"]


def test_linked_folders_and_files_are_followed(tmp_path: Path):
    data, pool = tmp_path / "data", tmp_path / "pool"
    touch(pool / "study" / "b.png", data / "a.png")
    (data / "linked").symlink_to(pool)
    (data / "c.png").symlink_to(pool / "study" / "b.png")
    assert found(data) == (["a.png", "c.png", "linked/study/b.png"], {})


def test_a_link_into_a_hidden_folder_is_followed(tmp_path: Path):
    touch(tmp_path / ".store" / "p1" / "a.png")
    (tmp_path / "patient1").symlink_to(".store/p1")
    images, reasons = found(tmp_path)
    assert images == ["patient1/a.png"]
    assert list(reasons) == [".store/p1/a.png"]


def test_loops_and_folders_linked_twice_are_read_once(tmp_path: Path):
    data = tmp_path / "data"
    touch(data / "a" / "b" / "image.png", tmp_path / "other" / "x.png")
    for link, target in {
        "a/b/itself": ".", "a/b/root": "../..", "a/above": "..", "a/outside": "../..",
        "0": "a/b", "1": "../other", "2": "../other",
    }.items():  # fmt: skip
        (data / link).symlink_to(target)
    # Links from each of twenty folders to each: 20! paths, if they were all followed.
    for number in range(20):
        touch(tmp_path / "farm" / str(number) / "f.png")
        for other in range(20):
            (tmp_path / "farm" / str(number) / f"to{other}").symlink_to(f"../{other}")
    (data / "farm").symlink_to("../farm")
    images, reasons = found(data)
    assert images == ["1/x.png", "a/b/image.png", *sorted(f"farm/{n}/f.png" for n in range(20))]
    assert reasons.pop("a/outside") == "leads to a folder that contains it"
    assert {"0", "2", "a/b/itself", "a/b/root", "a/above"} < set(reasons)
    assert set(reasons.values()) == {"is already read under another path"}


def test_a_folder_met_through_a_link_first_is_not_read_again(tmp_path: Path):
    touch(tmp_path / "pool" / "deep" / "a.png", tmp_path / "pool" / "b.png")
    data = tmp_path / "data"
    data.mkdir()
    (data / "1").symlink_to(tmp_path / "pool" / "deep")
    (data / "2").symlink_to(tmp_path / "pool")
    images, reasons = found(data)
    assert images == ["1/a.png", "2/b.png"]
    assert list(reasons) == ["2/deep"]


def test_what_is_no_file_is_never_opened(tmp_path: Path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        (tmp_path / "null.png").symlink_to("/dev/null")
        images, reasons = found(tmp_path)
    assert images == []
    assert set(reasons) == {"pipe", "pipe.png", "socket.png", "null.png"}
    assert set(reasons.values()) == {"is a pipe, a socket or a device"}


def test_links_that_lead_nowhere_are_named(tmp_path: Path):
    (tmp_path / "a.png").symlink_to("gone.png")
    (tmp_path / "patient7").symlink_to("/no/such/folder")
    (tmp_path / "b.png").symlink_to("b.png")
    (tmp_path / "notes.txt").symlink_to("gone.txt")
    lost = {file.path.name for file in files_below(tmp_path).left_out if file.is_lost}
    assert lost == {"a.png", "b.png", "patient7"}
    assert found(tmp_path) == (
        [],
        {
            "a.png": "leads to a missing file",
            "b.png": "can't be read (Too many levels of symbolic links)",
            "notes.txt": "leads to a missing file",
            "patient7": "leads to a missing file",
        },
    )


def test_an_annexed_file_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "c.png").symlink_to("../.git/annex/objects/ab/cd/key")
    (file,) = files_below(tmp_path).left_out
    assert file.is_lost
    assert file.reason == "is a git-annex pointer: run git annex get"


def test_folders_that_cannot_be_opened_are_named(tmp_path: Path, monkeypatch):
    touch(tmp_path / "a.png", tmp_path / "closed" / "b.png", tmp_path / "vanished" / "c.png")
    open_folder = os.scandir
    errors = {"closed": PermissionError(13, "Permission denied")}

    def scandir(path):
        # Root may open every folder, so the refusal is imitated.
        if Path(path).name in errors:
            raise errors[Path(path).name]
        if Path(path).name == "vanished" and (Path(path) / "c.png").exists():
            (Path(path) / "c.png").unlink()
            Path(path).rmdir()
        return open_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    images, reasons = found(tmp_path)
    assert images == ["a.png"]
    assert reasons == {
        "closed": "can't be opened (Permission denied)",
        "vanished": "can't be opened (No such file or directory)",
    }
    errors[tmp_path.name] = errors["closed"]
    with pytest.raises(DataError, match=r"can't be opened \(Permission denied\)"):
        files_below(tmp_path)


def test_a_tree_deeper_than_paths_may_be_is_named(tmp_path: Path, monkeypatch):
    touch(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(30):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    Path("deep.png").touch()
    below = files_below(tmp_path)
    assert below.images == [tmp_path / "a.png"]
    (file,) = below.left_out
    assert "File name too long" in file.reason
    assert file.is_lost


def test_names_that_are_not_utf8_are_names(tmp_path: Path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/h\xe9.png"))).touch()
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/h\xe9.txt"))).touch()
    below = files_below(tmp_path)
    assert [path.name for path in below.images] == ["h\udce9.png"]
    assert [file.path.name for file in below.left_out] == ["h\udce9.txt"]


def test_files_that_come_and_go_do_no_harm(tmp_path: Path):
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            for number in range(20):
                touch(tmp_path / str(number) / "a.png")
            for number in range(20):
                (tmp_path / str(number) / "a.png").unlink()
                (tmp_path / str(number)).rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(50):
            below = files_below(tmp_path)
            assert all(path.name == "a.png" for path in below.images)
            assert all("can't be opened" in file.reason for file in below.left_out)
    finally:
        stop.set()
        thread.join()


def test_given_files_are_images_whatever_their_names(tmp_path: Path):
    touch(*(tmp_path / name for name in ("a.png", "b.raw8", "._c.png", "d.txt")))
    given_files = [tmp_path / "b.raw8", tmp_path / "._c.png", tmp_path / "gone.png"]
    files = image_files([*given_files, tmp_path, tmp_path / "a.png"])
    assert files.images == sorted([*given_files, tmp_path / "a.png"])
    assert [file.path.name for file in files.left_out] == ["d.txt"]
    by_plugin = image_files([tmp_path], {".txt": read_radiograph})
    assert [path.name for path in by_plugin.images] == ["a.png", "d.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image files"):
        image_files([tmp_path / "empty"])


def test_thirty_thousand_files(tmp_path: Path):
    for study in range(300):
        (tmp_path / str(study)).mkdir()
        for image in range(100):
            os.close(os.open(tmp_path / str(study) / f"{image}.png", os.O_CREAT))
    below = files_below(tmp_path)
    assert len(below.images) == 30_000
    assert below.images == sorted(below.images)
    assert below.left_out == []


def test_the_root_may_be_hidden_or_a_link(tmp_path: Path):
    write_image(tmp_path / ".data" / "a.png", PIXELS)
    (tmp_path / "link").symlink_to(".data")
    assert files_below(tmp_path / ".data").images == [tmp_path / ".data" / "a.png"]
    assert files_below(tmp_path / "link").images == [tmp_path / "link" / "a.png"]
