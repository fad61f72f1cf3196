"""The figures of each epoch, in `history.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mura_core.errors import DataError
from mura_core.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's `history.csv`, none where there is no such file."""
    if not (folder / "history.csv").is_file():
        return []
    return history_table(folder).to_dict("records")  # type: ignore[return-value]


def history_table(folder: Path) -> pd.DataFrame:
    """Return a training's `history.csv`.

    Raises
    ------
    DataError
        There is none, or an older version wrote it.
    """
    path = folder / "history.csv"
    table = read_table(path)
    if not {"seed", "epoch", "collapse", "least_active_layer"} <= set(table):
        raise DataError(f"{path}: is of an older version, which can't be resumed; start a new run")
    return table
