"""The figures of each epoch, in `history.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mura_core.errors import DataError


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's `history.csv`, none where there is no such file."""
    path = folder / "history.csv"
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype={"collapse": "str", "least_active_layer": "str"})
    names = ["collapse", "least_active_layer"]
    if not {"seed", *names} <= set(table):
        raise DataError(f"{path}: is of an older version, which can't be resumed; start a new run")
    return table.fillna(dict.fromkeys(names, "")).to_dict("records")  # type: ignore[return-value]
