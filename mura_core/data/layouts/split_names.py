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
    r"dev(?:el(?:opment)?)?|hold[ _-]?out|held[ _-]?out|eval(?:uation)?|tun(?:e|ing)|trn|tst"
    r"|fold[ _-]?\d+",
    re.IGNORECASE,
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
        Such as `dev` or `holdout`.
    """
    return _OTHERS.fullmatch(name.strip()) is not None
