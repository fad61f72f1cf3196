"""Files a user keeps: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mura_core.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO]:  # type: ignore[type-arg]
    """Open a temporary sibling of `path` that takes its place when the block ends well.

    A killed program leaves the old file or the new one, never half of one. What is no regular
    file, such as /dev/stdout, is written to as it is.

    Raises
    ------
    DataError
        The disk is full, or the folder can't be written to.
    """
    special = path.exists() and not path.is_file()
    temporary = path if special else temporary_sibling(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with temporary.open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            if not special:
                os.fsync(file.fileno())
        if not special:
            temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        if not special:
            temporary.unlink(missing_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Raise an error unless a file can be written, before the work whose result it takes.

    Parameters
    ----------
    path : Path
        As `--out` named it.

    Raises
    ------
    UsageError
        It is a folder, or is to be in a folder that is missing or can't be written to.
    """
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; name a file to write")
    if path.exists() and not path.is_file():
        return  # such as /dev/stdout
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--out {path}: the folder {path.parent} can't be written to")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, without its index."""
    with replacing(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


def temporary_sibling(path: Path) -> Path:
    """Return the temporary name under which `path` is made; its suffix stays last."""
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
