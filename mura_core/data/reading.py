"""How the user says that a data set is to be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """How the user says that a data set is to be read.

    Attributes
    ----------
    columns : str
        The columns of a CSV, such as `path=filename,label=fractured`.
    positive : tuple of str
        The labels that mean abnormal.
    allow_outside : bool
        Whether a CSV may list images outside its folder.
    """

    columns: str = ""
    positive: tuple[str, ...] = ()
    allow_outside: bool = False
