"""Recognise the names of splits, in any case and their usual spellings."""

from __future__ import annotations

import re

ACCEPTED = "train, training, val, valid, validation, test, testing"

_SPELLINGS = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<valid>val(?:id(?:ation)?)?)|(?P<test>test(?:ing)?))"
    r"(?:[ _-]?(?:set|data|split|images?))?",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"dev(?:el(?:opment)?)?(?:[ _-]?set)?|hold[ _-]?out|held[ _-]?out|eval(?:uation)?"
    r"|tun(?:e|ing)|trn|tst|fold[ _-]?\d+",
    re.IGNORECASE,
)
_WITH_MORE = re.compile(
    r"(?:.*[ _-])?(?:train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?:[ _-].*)?", re.IGNORECASE
)


def split_named(name: str) -> str:
    """Return the split that a folder or a value names.

    Parameters
    ----------
    name : str
        Such as `Train`, `validation` or `test_set`.

    Returns
    -------
    {"train", "valid", "test", ""}
        Empty if it isn't the name of a split.
    """
    found = _SPELLINGS.fullmatch(name.strip())
    return next(split for split, text in found.groupdict().items() if text) if found else ""


def means_another_split(name: str) -> bool:
    """Return whether a name usually means a split that isn't train, valid or test.

    Parameters
    ----------
    name : str
        Such as `dev`, `hold-out` or `fold1`.
    """
    return _OTHERS.fullmatch(name.strip()) is not None


def holds_split(name: str) -> bool:
    """Return whether the name of a split is a word of another name.

    Parameters
    ----------
    name : str
        Such as `train_2019`; `Test7`, which may be a patient, isn't.
    """
    return _WITH_MORE.fullmatch(name.strip()) is not None
