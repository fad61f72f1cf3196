"""Read the training history, `history.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mura_core.errors import DataError
from mura_core.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of `history.csv`, one per epoch; none if there is no such file.

    Parameters
    ----------
    folder : Path
        The folder of the training.

    Raises
    ------
    DataError
        The file was written by an older version.
    """
    if not (folder / "history.csv").is_file():
        return []
    return history_table(folder).to_dict("records")  # type: ignore[return-value]


def history_table(folder: Path) -> pd.DataFrame:
    """Return `history.csv` as a table, one row per epoch.

    Parameters
    ----------
    folder : Path
        The folder of the training.

    Raises
    ------
    DataError
        There is none, or an older version wrote it.
    """
    path = folder / "history.csv"
    table = read_table(path)
    if not {"seed", "epoch", "collapse", "least_active_layer"} <= set(table):
        raise DataError(
            f"{path}: was written by an older version and can't be resumed; start a new run"
        )
    return table
