"""Check the records that a plugin returns: their types, their names and what they refer to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mura_plugins.errors import PluginError
from mura_plugins.records import Architecture, Explainer, Layout, Reader

Record = TypeVar("Record", Architecture, Explainer, Reader, Layout)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_FUNCTION = re.compile(r"\w+(\.\w+)*:\w+")
_FUNCTIONS = ("build", "explain", "read", "recognise")
_RESERVED = "all"  # of --explain


def checked_records(hook: str, returned: object, kind: type[Record]) -> list[Record]:
    """Return what a hook returned as a list of valid records.

    Parameters
    ----------
    hook : str
        Name of the hook, for error messages.
    returned : object
        What it returned; an iterable, or a generator that hasn't run yet.
    kind : type
        Class of its records.

    Raises
    ------
    PluginError
        It returned something else, or a record is invalid, or two have the same name.
    """
    if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
        raise PluginError(f"{hook} returned {returned!r}, not a list of {kind.__name__} records")
    records = []
    for record in returned:
        if not isinstance(record, kind):
            raise PluginError(f"{hook} returned {record!r}, not a {kind.__name__}")
        refuse_invalid(record)
        records.append(record)
    [(name, count)] = Counter(record.name for record in records).most_common(1) or [("", 0)]
    if count > 1:
        raise PluginError(f"{hook} returned {count} records with the name {name!r}; rename them")
    return records


def refuse_invalid(record: Architecture | Explainer | Reader | Layout) -> None:
    """Raise a PluginError that names the field of a record that is invalid, if there is one.

    Parameters
    ----------
    record : Architecture, Explainer, Reader or Layout
    """
    kind = type(record).__name__
    hints = get_type_hints(type(record))
    for field in fields(record):
        value = getattr(record, field.name)
        if not _is_a(value, hints[field.name]):
            raise PluginError(
                f"{field.name} of the {kind} {record.name!r} is {value!r}; expected"
                f" {_in_words(hints[field.name])}"
            )
    star = "*" if isinstance(record, Architecture) and record.name.endswith("*") else ""
    if not _NAME.fullmatch(record.name.removesuffix(star)) or record.name == _RESERVED:
        raise PluginError(
            f"{record.name!r} is not a valid name of a {kind}; use letters, digits and . _ + : -"
        )
    for name in _FUNCTIONS:
        function = getattr(record, name, None)
        if function is None:
            continue
        named = function.removesuffix(star)
        if not (_FUNCTION.fullmatch(named) or (star and re.fullmatch(r"[\w.]+:", named))) or (
            star and not function.endswith(star)
        ):
            raise PluginError(
                f"{name} of the {kind} {record.name!r} is {function!r}; expected"
                f" 'package.module:{'*' if star else 'function'}'"
            )
    if isinstance(record, Architecture) and record.input_size < 1:
        raise PluginError(
            f"input_size of the Architecture {record.name!r} is {record.input_size}; expected the"
            " side of its images in pixels"
        )
    if isinstance(record, Reader):
        _refuse_invalid_kinds(record)


def _refuse_invalid_kinds(record: Reader) -> None:
    for suffix in record.suffixes:
        if not suffix.startswith(".") or len(suffix) < 2:
            raise PluginError(f"the suffix {suffix!r} doesn't start with a dot, as '.raw' does")
    for offset, magic in record.signatures:
        if offset < 0:
            raise PluginError(f"the signature's offset {offset} is negative")
        if not magic:
            raise PluginError("a signature has no bytes: it would match every file")
    if not record.suffixes and not record.signatures:
        raise PluginError(f"the Reader {record.name!r} has neither a suffix nor a signature")


def _is_a(value: Any, hint: Any) -> bool:
    """Return whether a value is of the type of a field: str, int, bool, bytes or a tuple."""
    if get_origin(hint) is not tuple:
        return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    if not isinstance(value, tuple):
        return False
    items = get_args(hint)
    if items[-1] is Ellipsis:
        return all(_is_a(item, items[0]) for item in value)
    return len(value) == len(items) and all(map(_is_a, value, items))


def _in_words(hint: Any) -> str:
    """Return the type of a field in words, such as "a tuple of str"."""
    if get_origin(hint) is not tuple:
        return str(hint.__name__)
    items = get_args(hint)
    if items[-1] is Ellipsis:
        return f"a tuple of {_in_words(items[0])}"
    return f"({', '.join(map(_in_words, items))})"
