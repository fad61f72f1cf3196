"""Heatmap scores against image-independent baselines, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.evaluation import DRAWS, LEAST_PATIENTS, draw_patients, interval
from mura_core.heatmaps.measures.localisation import Masks
from mura_core.heatmaps.results import BaselineScore, GroupScores, MeasureScore

Map: TypeAlias = NDArray[np.float32]
MapOf: TypeAlias = Callable[[int], Map]


def baseline_maps(shape: tuple[int, ...], boxes: Masks, seed: int) -> dict[str, MapOf]:
    """Return the image-independent baseline maps: `random`, `centre` and `average_box`.

    Parameters
    ----------
    shape : tuple of int
        Shape of the method's maps, (h, w). The random map needs the same resolution, since a finer
        one would hide other pixels.
    boxes : sequence of ndarray of shape (H, W), bool
        Region masks of training images. If empty, `average_box` is omitted.
    seed : int
        Random seed of the random maps.

    Returns
    -------
    dict
        For each baseline, a function from the index of an image to its map, an ndarray of shape
        (h, w), float32. `average_box` has the shape of the masks, (H, W).
    """
    height, width = shape
    rows, columns = np.ogrid[:height, :width]
    # Distance from the centre, in side lengths.
    from_centre = np.hypot((rows + 0.5) / height - 0.5, (columns + 0.5) / width - 0.5)
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
) -> GroupScores:
    """Return the mean of each measure and its comparison with the baselines.

    Parameters
    ----------
    own : DataFrame
        Scores of the method's maps, one row per image and one column per measure.
    baselines : dict of DataFrame
        Scores of each baseline's maps on the same images.
    patients : Series
        The patient of each image. The bootstrap draws patients, since images of the same patient
        are correlated.
    seed : int
        Random seed of the bootstrap.

    Returns
    -------
    GroupScores
        A measure that is defined (not NaN) for fewer than 5 patients is None.
    """
    patient, _ = pd.factorize(patients)
    weights = draw_patients(int(patient.max()) + 1, DRAWS, seed)[:, patient]

    def mean_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
        defined = np.isfinite(values)
        drawn = weights[:, defined]
        with np.errstate(invalid="ignore"):  # a draw may have no defined score
            return interval(drawn @ values[defined] / drawn.sum(axis=1))

    measures: dict[str, MeasureScore | None] = {}
    for name in own:
        values = own[name].to_numpy(np.float64)
        if len(np.unique(patient[np.isfinite(values)])) < LEAST_PATIENTS:
            measures[str(name)] = None
            continue
        measures[str(name)] = MeasureScore(
            mean=float(np.nanmean(values)),
            interval=mean_interval(values),
            baselines={
                other: BaselineScore(
                    mean=float(table[name].mean()),
                    interval=mean_interval(values - table[name].to_numpy(np.float64)),
                )
                for other, table in baselines.items()
            },
        )
    return GroupScores(len(own), int(patient.max()) + 1, measures)
