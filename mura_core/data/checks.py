"""Check the table of a data set: its splits, its labels, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from mura_core.data.columns import SPLITS
from mura_core.data.layouts.split_names import ACCEPTED
from mura_core.data.layouts.structure import label_of
from mura_core.data.splits import hold_out
from mura_core.errors import DataError
from mura_plugins import LabelledImage, LabelledImages, PluginError

CONTRADICTIONS = ["path", "label", "reason"]


def refuse_invalid(images: LabelledImages, data: Path, layout: str) -> None:
    """Raise an error if what a layout read isn't a table of images.

    Parameters
    ----------
    images : LabelledImages
        What the layout returned.
    data : Path
        The data set, for the message.
    layout : str
        Name of the layout, for the message.

    Raises
    ------
    PluginError
        It isn't `LabelledImages`, a label isn't 0 or 1, or a text is empty or no text.
    """
    where = f"{data}: the layout {layout}"
    if not isinstance(images, LabelledImages):
        raise PluginError(f"{where} returned {type(images).__name__}, not LabelledImages")
    for image in images.images:
        if not isinstance(image, LabelledImage):
            raise PluginError(f"{where} returned {image!r}, not a LabelledImage")
        for name, value in zip(image._fields, image, strict=True):
            valid = value in (0, 1) if name == "label" else isinstance(value, str)
            if not valid or (value == "" and name != "split"):
                raise PluginError(f"{where}: {image.path!r}: {value!r} is not a valid {name}")


def with_split(table: pd.DataFrame, data: Path, seed: int | None, notes: list[str]) -> pd.DataFrame:
    """Return a table with the split of each image, dealt by a seed if the data names none.

    Parameters
    ----------
    table : DataFrame
        One row per image, with the columns `COLUMNS`.
    data : Path
        The data set, for error messages.
    seed : int or None
        Seed of the hold-out of data without a split. If None, the run holds out training patients
        itself: such data is all `train`, and test images never play the part of `valid`.
    notes : list of str
        What was done is appended.

    Raises
    ------
    DataError
        A split is unknown, or nothing is left to train on.
    """
    if (table["split"] == "").all():
        if seed is None:
            return table.assign(split="train")
        table = table.assign(split=hold_out(table, seed=seed))
        patients = table.groupby("split")["patient"].nunique()
        notes.append(
            f"The data names no split: {patients['valid']} of {patients.sum()} patients, about a"
            f" fifth of the images, were dealt to validation by seed {seed}."
        )
        return table
    unknown = sorted(set(table["split"]) - set(SPLITS))
    if unknown:
        raise DataError(
            f"{data}: the split {unknown[0]!r} is not one of {ACCEPTED}; give the split of every"
            " image or of none"
        )
    named = set(table["split"])
    if named == {"test"}:
        raise DataError(f"{data}: all images are in the split 'test'; there is nothing to train on")
    if named == {"train", "test"} and seed is not None:
        notes.append("The data has no validation images: its test images are used for validation.")
        return table.assign(split=table["split"].replace("test", "valid"))
    if named == {"train", "test"}:
        notes.append(
            "The data has no validation images: a run is validated on its test images, unless it"
            " holds out training patients."
        )
    elif "test" in named:
        notes.append(
            f"{(table['split'] == 'test').sum()} test images are neither trained on nor used for"
            " validation; `mura-run evaluate RUN --split test` judges them."
        )
    return table


def contradictions_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the images whose label contradicts the name of their study's folder.

    Parameters
    ----------
    table : DataFrame
        One row per image, with the columns `COLUMNS`.

    Returns
    -------
    DataFrame
        `path`, `label` (of the table, which counts) and `reason`: the folder that contradicts it.
    """
    rows = []
    for path, label in zip(table["path"], table["label"], strict=True):
        folders = reversed(PurePosixPath(path).parts[:-1])
        folder = next((name for name in folders if label_of(name) is not None), "")
        if label_of(folder) not in (None, label):
            says = "abnormal" if label_of(folder) else "normal"
            rows.append((path, int(label), f"the folder {folder} says {says}"))
    return pd.DataFrame(rows, columns=CONTRADICTIONS)


def refuse_contradictions(table: pd.DataFrame, data: Path) -> None:
    """Raise a DataError if an image is listed twice, or a patient is in several splits.

    Parameters
    ----------
    table : DataFrame
        One row per image, with the columns `COLUMNS`.
    data : Path
        The data set, for the message.
    """
    repeated = table["path"][table["path"].duplicated()]
    if len(repeated):
        raise DataError(f"{data}: {repeated.iloc[0]} is listed more than once")
    sides = table.groupby("patient")["split"].nunique()
    straddling = sides.index[sides > 1]
    if len(straddling):
        which = "both" if table["split"].nunique() == 2 else "several"
        raise DataError(
            f"{data}: {len(straddling)} patients are in {which} splits, for example"
            f" {straddling[0]}; all images of a patient must be in the same split"
        )
