"""The page that shows a run's predictions and heatmaps of new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mura_core.evaluation import OperatingPoint
from mura_core.report.page import explained_by_method, template
from mura_core.runs import PHANTOMS, config_of, read_metrics

_ROWS = 1000  # of the table; the CSV has them all


@dataclass(frozen=True)
class Using:
    """How a run was used.

    Attributes
    ----------
    folder : Path
        The run's.
    networks : int
        How many were averaged.
    points : dict of OperatingPoint
        Of the levels `image` and `study`.
    left_out : sequence of str
        Why some files couldn't be read.
    """

    folder: Path
    networks: int
    points: Mapping[str, OperatingPoint]
    left_out: Sequence[str]


def predictions_page(using: Using, table: pd.DataFrame, heatmaps: pd.DataFrame) -> str:
    """Return the page; heatmaps stay files next to it.

    Parameters
    ----------
    using : Using
    table : DataFrame
        A row an image, as of `predicting.predict_by_run`.
    heatmaps : DataFrame
        A row an image and method, as of `heatmaps.csv`, with `scale_of`: `run` or `images`.
    """
    verdicts = table[["path", "verdict"]]
    rows = heatmaps.merge(verdicts, on="path").replace({np.nan: None})
    return template("predictions.html").render(
        new_images=True,
        phantoms=config_of(using.folder).data == PHANTOMS,
        metrics=read_metrics(using.folder),
        using=using,
        rows=table.head(_ROWS).to_dict("records"),
        count=len(table),
        explained=[
            method | {"scale_of": method["images"][0]["scale_of"]}
            for method in explained_by_method(rows, [])
        ],
    )
