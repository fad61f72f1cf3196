"""Recognise the names of splits, in any case and their usual spellings."""

from __future__ import annotations

import re

ACCEPTED = "train, training, val, valid, validation, test, testing"

_SPELLINGS = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<valid>val(?:id(?:ation)?)?)|(?P<test>test(?:ing)?))"
    r"(?:[ _-]?(?:set|data|split|images?))?",
    re.IGNORECASE,
)
_WORDS = {
    "train", "training", "trn", "val", "valid", "validation", "test", "testing", "tst", "dev",
    "devel", "development", "holdout", "heldout", "eval", "evaluation", "tune", "tuning", "fold",
}  # fmt: skip


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
    """Return whether a name seems to mean a split, but isn't one that is accepted.

    Parameters
    ----------
    name : str
        Such as `dev`, `hold-out`, `train_2019` or `fold1`.
    """
    words = re.findall("[a-z]+", name.casefold())
    joined = {"".join(words[n : n + 2]) for n in range(len(words))}  # hold-out, dev_set
    return not split_named(name) and not _WORDS.isdisjoint({*words, *joined})
