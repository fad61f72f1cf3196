"""Heatmap scores against image-independent baselines, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.evaluation import DRAWS, LEAST_PATIENTS, draw_patients, interval
from mura_core.heatmaps.measures.localisation import Masks

Map: TypeAlias = NDArray[np.float32]
MapOf: TypeAlias = Callable[[int], Map]


def baseline_maps(shape: tuple[int, ...], boxes: Masks, seed: int) -> dict[str, MapOf]:
    """Return maps that don't look at the image: `random`, `centre`, and `average_box`.

    Parameters
    ----------
    shape : tuple of int
        Of the method's maps, (h, w): a finer random map would hide other things.
    boxes : sequence of ndarray of shape (H, W), bool
        Regions of training images; where there are none, there is no average.
    seed : int

    Returns
    -------
    dict of functions from an image's number to its map of shape (h, w), float32; the average has
    the boxes' own size
    """
    height, width = shape
    rows, columns = np.ogrid[:height, :width]
    from_centre = np.hypot((rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5)  # in sides
    centre = (1 - from_centre).astype(np.float32)

    def random(number: int) -> Map:
        return np.random.default_rng((seed, number)).random(shape, np.float32)

    maps: dict[str, MapOf] = {"random": random, "centre": lambda _: centre}
    if len(boxes):
        average = np.asarray(np.mean(boxes, axis=0, dtype=np.float32))
        maps["average_box"] = lambda _: average
    return maps


def summarise(
    own: pd.DataFrame, baselines: Mapping[str, pd.DataFrame], patients: pd.Series, seed: int
) -> dict[str, Any]:
    """Return the mean of each measure, and how it compares with the baselines.

    Parameters
    ----------
    own : DataFrame
        A row an image, a column a measure.
    baselines : dict of DataFrame
        What the baselines' maps get on the same images.
    patients : Series
        Of the images. Intervals are by bootstrap over them, since a patient's images are alike.
    seed : int

    Returns
    -------
    dict
        `count`, `patients`, and of each measure `mean`, `interval` (95 %), and `beside`: of each
        baseline the `mean`, and the `interval` of the difference, own minus baseline. A measure
        that is defined (not NaN) for fewer than 5 patients is None.
    """
    patient, _ = pd.factorize(patients)
    weights = draw_patients(int(patient.max()) + 1, DRAWS, seed)[:, patient]

    def mean_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
        defined = np.isfinite(values)
        drawn = weights[:, defined]
        with np.errstate(invalid="ignore"):  # a draw may hold no image that is defined
            return interval(drawn @ values[defined] / drawn.sum(axis=1))

    summary: dict[str, Any] = {"count": len(own), "patients": int(patient.max()) + 1}
    for name in own:
        values = own[name].to_numpy(np.float64)
        if len(np.unique(patient[np.isfinite(values)])) < LEAST_PATIENTS:
            summary[str(name)] = None
            continue
        summary[str(name)] = {
            "mean": float(np.nanmean(values)),
            "interval": mean_interval(values),
            "beside": {
                other: {
                    "mean": float(table[name].mean()),
                    "interval": mean_interval(values - table[name].to_numpy(np.float64)),
                }
                for other, table in baselines.items()
            },
        }
    return summary
