"""Read the label of an image from a value of a CSV or the name of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mura_core.errors import DataError
from mura_plugins import LayoutOptions

ACCEPTED = "0/1, true/false, yes/no, normal/abnormal or negative/positive"

_WORDS = {
    "0": 0, "false": 0, "no": 0, "normal": 0, "negative": 0, "0.0": 0,
    "1": 1, "true": 1, "yes": 1, "abnormal": 1, "positive": 1, "1.0": 1,
}  # fmt: skip


def refuse_unused(data: Path, options: LayoutOptions) -> None:
    """Raise a DataError if the user names columns or labels of data that has none to name.

    Parameters
    ----------
    data : Path
        The data folder.
    options : LayoutOptions
        What the user said.
    """
    if options.columns:
        raise DataError(
            f"{data}: --columns is for a CSV file of your own; name the file with --data"
        )
    if options.positive:
        raise DataError(
            f"{data}: --positive {options.positive[0]!r} is for class folders and for a CSV file of"
            " your own; this data has no such class, and says itself which images are abnormal"
        )


def is_label(text: str) -> bool:
    """Return whether a text is a usual word for a label, such as `abnormal`.

    Parameters
    ----------
    text : str
        A value of a CSV, or the name of a folder.
    """
    return text.strip().casefold() in _WORDS


def label_in_words(text: str, positive: Sequence[str], where: str) -> int:
    """Return the label that a value means: 1 abnormal, 0 normal.

    Parameters
    ----------
    text : str
        The value.
    positive : sequence of str
        The values that mean abnormal, ignoring case; any other value then means normal. If empty,
        the value must be one of the usual words for a label.
    where : str
        File and line, for the error message.

    Raises
    ------
    DataError
        The value is empty, or isn't a usual word.
    """
    word = text.strip().casefold()
    if not word:
        raise DataError(f"{where}: the label is empty")
    if positive:
        return int(word in {value.strip().casefold() for value in positive})
    if word not in _WORDS:
        raise DataError(
            f"{where}: the label {text!r} is not 0 (normal) or 1 (abnormal); accepted are"
            f" {ACCEPTED}, or name the value that means abnormal, such as --positive {text!r}"
        )
    return _WORDS[word]


def labels_in_words(values: Iterable[str], positive: Sequence[str], where: str) -> str:
    """Return a line that says which values mean abnormal, and how often each occurs.

    Parameters
    ----------
    values : iterable of str
        The value of each image.
    positive : sequence of str
        The values that mean abnormal.
    where : str
        The file or folder, for the error message.

    Raises
    ------
    DataError
        A value that should mean abnormal doesn't occur.
    """
    counts = Counter(value.strip() for value in values)
    wanted = {value.strip().casefold() for value in positive}
    there = {value.casefold() for value in counts}
    if missing := sorted(wanted - there):
        raise DataError(
            f"{where}: --positive {missing[0]!r} is not one of the labels {_listed(counts)}"
        )
    kinds = {True: Counter[str](), False: Counter[str]()}
    for value, count in counts.items():
        kinds[value.casefold() in wanted][value] = count
    return f"Labels: {_listed(kinds[True])} abnormal, {_listed(kinds[False]) or 'nothing'} normal."


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{value!r} ({count} images)" for value, count in counts.most_common())
