"""Find the image files of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mura_core.errors import DataError
from mura_core.imaging import files_below, is_litter
from mura_plugins import LayoutOptions

NOT_IMAGES = ("boxes.csv", "letters.csv")  # CSV files that list something else


def image_paths(folder: Path, options: LayoutOptions) -> list[PurePosixPath]:
    """Return the image files in a folder and its subfolders, relative to it, sorted.

    Parameters
    ----------
    folder : Path
        The folder.
    options : LayoutOptions
        The file name endings and signatures of images.
    """
    images = files_below(folder, options.suffixes | options.signatures).images
    return [PurePosixPath(path.relative_to(folder).as_posix()) for path in images]


def csv_files(folder: Path) -> list[Path]:
    """Return the CSV files in a folder, sorted, without hidden ones such as `._image_paths.csv`.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    found = sorted(folder.glob("*.[cC][sS][vV]"))
    # A pipe would wait for another program.
    return [path for path in found if path.is_file() and not is_litter(path.name)]


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones and others such as `__MACOSX`.

    Parameters
    ----------
    folder : Path
        The folder.
    """
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_litter(path.name)]


def own_csvs(folder: Path) -> list[str]:
    """Return the names of the CSV files in a folder that may list its images.

    Parameters
    ----------
    folder : Path
        The data folder.
    """
    return [path.name for path in csv_files(folder) if path.name not in NOT_IMAGES]


def note_on_csvs(folder: Path) -> tuple[str, ...]:
    """Return a note on the CSV files in a folder, if its images are labelled by folder names.

    Parameters
    ----------
    folder : Path
        The data folder.
    """
    names = own_csvs(folder)
    if not names:
        return ()
    return (
        f"Labels are those of the folders' names. {', '.join(names)} is not read; --data"
        f" {folder / names[0]} reads it instead.",
    )


def by_name(paths: Iterable[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """Return paths by file name, with and without its suffix.

    Parameters
    ----------
    paths : iterable of PurePosixPath
        As returned by `image_paths`.
    """
    found: dict[str, list[PurePosixPath]] = {}
    for path in paths:
        for name in (path.name, path.stem):
            found.setdefault(name, []).append(path)
    return found


def only_one(named: dict[str, list[PurePosixPath]], name: str, where: str) -> str | None:
    """Return the path of the only file of a name, or None if there is none.

    Parameters
    ----------
    named : dict
        As returned by `by_name`.
    name : str
        File name, with or without its suffix.
    where : str
        File and line, for the error message.

    Raises
    ------
    DataError
        Several files have the name.
    """
    found = named.get(name, [])
    if len(found) > 1:
        raise DataError(f"{where}: {name!r} may be {found[0]} or {found[1]}; give the whole path")
    return found[0].as_posix() if found else None
