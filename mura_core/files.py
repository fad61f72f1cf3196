"""Write files under a temporary name, then rename them."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mura_core.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

# What a spreadsheet takes for a formula, or what `inert` made of it. -0.5 is a number.
_FORMULA = re.compile(r"'*(?:[=+@\t\r]|-[^\d.])")

# As `temporary_sibling` names them.
_TEMPORARY = re.compile(r"\..+\.(?P<process>\d+)(-(?P<machine>[0-9a-f]{6}))?(\.[^.]+)?")
_DAY = 24 * 60 * 60  # seconds


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
    remove_leftovers_of(path)


def write_csv(path: Path, table: pd.DataFrame, *, header: bool = True) -> None:
    """Write a table as CSV, without its index.

    Parameters
    ----------
    path : Path
        File to write.
    table : DataFrame
        The table. Cells that a spreadsheet would run are written so that it shows them.
    header : bool
        Whether to write the names of the columns.
    """
    with replacing(path) as file:
        file.write(as_csv(table, header=header))


def as_csv(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return the text of a table as CSV, without its index.

    Parameters
    ----------
    table, header
        See `write_csv`.
    """
    table = table.copy()
    has_return = False
    for name, column in table.items():
        if column.dtype.kind not in "biuf":
            table[name] = cells = [inert(one) if isinstance(one, str) else one for one in column]
            has_return |= any("\r" in str(cell) for cell in cells)
    # csv quotes \r only where it ends lines.
    quoting = csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL
    text = table.to_csv(index=False, header=header, lineterminator="\n", quoting=quoting)  # type: ignore[call-overload]
    return str(text)


def inert(cell: str) -> str:
    """Return a cell of a CSV file so that a spreadsheet shows it and doesn't run it.

    Spreadsheets run what starts like a formula (OWASP, "CSV injection"), and show what follows an
    apostrophe. `restored` is the inverse.

    Parameters
    ----------
    cell : str
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """Return a cell as it was before `inert`.

    Parameters
    ----------
    cell : str
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def make_folder(folder: Path, variable: str) -> None:
    """Create a folder and the folders above it, unless it exists.

    Parameters
    ----------
    folder : Path
        The folder.
    variable : str
        Environment variable by which another folder can be named.

    Raises
    ------
    DataError
        It can't be created, or can't be written to by this user and doesn't exist yet.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: can't be created ({error.strerror}); set {variable} to another folder"
        ) from None


def temporary_sibling(path: Path) -> Path:
    """Return the path of the temporary file for `path`, in the same folder, with its suffix.

    Its name has the number of this process and a digest of the machine's name, by which
    `is_left_over` recognises it.

    Parameters
    ----------
    path : Path
        File to write.
    """
    return path.with_name(f".{path.stem}.{os.getpid()}-{_machine()}{path.suffix}")


def remove_leftovers(folder: Path, start: str = ".", *, below: bool = False) -> None:
    """Remove temporary files of processes that were killed.

    Parameters
    ----------
    folder : Path
        The folder. If it is missing, nothing is done.
    start : str
        Start of the names of the files to remove.
    below : bool
        Whether to search the folders below, too. Links aren't followed.
    """
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(where, name)
            if name.startswith(start) and is_left_over(path):
                with suppress(OSError):
                    path.unlink() if name in files or path.is_symlink() else shutil.rmtree(path)
        if not below:
            return


def remove_leftovers_of(path: Path) -> None:
    """Remove temporary files for one file, in a folder that may be of any use.

    Parameters
    ----------
    path : Path
        The file to write.
    """
    own = re.compile(rf"\.{re.escape(path.stem)}\.\d+-{_machine()}{re.escape(path.suffix)}")
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        if own.fullmatch(other.name) and is_left_over(other):
            with suppress(OSError):
                shutil.rmtree(other) if other.is_dir() else other.unlink()


def is_left_over(path: Path) -> bool:
    """Return whether a file is temporary and its process has ended.

    A file of another machine is taken for left over after a day without a change. A file with the
    number of this process is of an earlier one, as in containers, where the first process always
    has the same number: this process must not have written to the folder yet.

    Parameters
    ----------
    path : Path
        The file.
    """
    found = _TEMPORARY.fullmatch(path.name)
    if not found:
        return False
    if found["machine"] not in (None, _machine()):
        try:
            return time.time() - path.stat().st_mtime > _DAY
        except OSError:
            return False
    process = int(found["process"])
    return process == os.getpid() or not _is_running(process)


def process_of(path: Path) -> int | None:
    """Return the number of the process of this machine that a temporary file belongs to, or None.

    Parameters
    ----------
    path : Path
        The file.
    """
    found = _TEMPORARY.fullmatch(path.name)
    if not found or found["machine"] not in (None, _machine()):
        return None
    return int(found["process"])


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere, signal 0 isn't harmless
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
