"""Write files under a temporary name, then rename them."""

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
    r"""Open a temporary file that replaces `path` if the block succeeds.

    If the program is killed, the old file or the new one remains, never a part of it. A path that
    isn't a regular file, such as /dev/stdout, is written to directly.

    Parameters
    ----------
    path : Path
        File to write.
    mode : {"w", "wb"}
        Text is written as UTF-8. File names that aren't UTF-8 (surrogates, as `os.fsdecode` returns
        them) are escaped, such as \udce9; `mura_core.tables` restores them.

    Raises
    ------
    DataError
        If the file can't be written, for example because the disk is full.
    """
    special = path.exists() and not path.is_file()
    temporary = path if special else temporary_sibling(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "", "errors": "backslashreplace"}
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
    """Raise an error unless a file can be written; called before the work starts.

    Parameters
    ----------
    path : Path
        Value of `--out`.

    Raises
    ------
    UsageError
        If it is a folder, or its folder is missing or can't be written to.
    """
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder; name a file to write")
    if path.exists() and not path.is_file():
        return  # such as /dev/stdout
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--out {path}: the folder {path.parent} can't be written to")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index.

    Parameters
    ----------
    path : Path
        File to write.
    table : DataFrame
        The table.
    """
    with replacing(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


def temporary_sibling(path: Path) -> Path:
    """Return the path of the temporary file for `path`, in the same folder, with its suffix.

    Parameters
    ----------
    path : Path
        File to write.
    """
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
