"""Make the page with a run's predictions and heatmaps for new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mura_core.evaluation import OperatingPoint
from mura_core.report.page import explained_by_method, template
from mura_core.runs import PHANTOMS, config_of, read_metrics

_ROWS = 1000  # shown in the table; the CSV file has all


@dataclass(frozen=True)
class Using:
    """How a run was used to predict new images.

    Parameters
    ----------
    folder : Path
        The run folder.
    networks : int
        Number of networks that were averaged.
    points : mapping of str to OperatingPoint
        Operating points of the levels `image` and `study`.
    left_out : sequence of dict
        `path` and `reason` of each file that was left out.
    unusual : sequence of dict
        `path` and `reason` of each image that is unlike the training images.
    """

    folder: Path
    networks: int
    points: Mapping[str, OperatingPoint]
    left_out: Sequence[Mapping[str, str]]
    unusual: Sequence[Mapping[str, str]] = ()


def predictions_page(using: Using, table: pd.DataFrame, heatmaps: pd.DataFrame) -> str:
    """Return the page as HTML; heatmaps are linked by relative path.

    Parameters
    ----------
    using : Using
        How the run was used.
    table : DataFrame
        One row per image, as returned by `predict_by_run`.
    heatmaps : DataFrame
        One row per image and method, as in `heatmaps.csv`, with the column `scale_of`: `run` or
        `images`.
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
