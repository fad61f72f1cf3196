"""Check everything that a distribution or a record provides, for `mura-run check-plugin`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mura_plugins.contract import ContractError
from mura_plugins.errors import NotApplicable, PluginError
from mura_plugins.manager import Plugins, call_layout
from mura_plugins.offers import Offer
from mura_plugins.records import Architecture, Layout, LayoutOptions, Reader

Status = Literal["kept", "broken", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """Whether a record keeps its contract.

    Attributes
    ----------
    kind : str
        Such as "explainer".
    name : str
        Name of the record.
    status : {"kept", "broken", "unchecked"}
    reason : str
        What is wanted and what was seen, or why nothing was checked; empty if the contract is kept.
    """

    kind: str
    name: str
    status: Status
    reason: str = ""


def check_plugin(
    plugins: Plugins, name: str, examples: Sequence[Path], options: LayoutOptions
) -> Iterator[Finding]:
    """Yield a finding for everything that a distribution, or a record of this name, provides.

    Parameters
    ----------
    plugins : Plugins
        The loaded plugins.
    name : str
        A distribution, such as mura-their-net, an entry point, or the name of a record.
    examples : sequence of Path
        Files for readers, and data sets for layouts.
    options : LayoutOptions
        What layouts are told.

    Raises
    ------
    PluginError
        No plugin has this name.
    """
    wanted = _normalised(name)
    failures = [
        failure
        for failure in plugins.failures
        if wanted in (_normalised(failure.plugin), _normalised(failure.distribution))
    ]
    offers = [
        (kind, offer)
        for kind, some in _by_kind(plugins).items()
        for offer in some
        if offer.record.name == name or _normalised(offer.distribution) == wanted
    ]
    if not offers and not failures:
        try:  # a member of a family
            member = plugins.architecture(name)
        except PluginError:
            known = sorted(
                {offer.distribution for some in _by_kind(plugins).values() for offer in some}
            )
            raise PluginError(
                f"{name!r} is neither an installed distribution with plugins nor a record of one;"
                f" distributions are {', '.join(known)}, and mura-run plugins lists the records"
            ) from None
        offers = [("architecture", Offer(member, "", ""))]
    for failure in failures:
        yield Finding("plugin", failure.plugin, "broken", str(failure))
    for kind, offer in offers:
        yield _finding(kind, offer.record, _check_of(kind, offer.record, examples, options))


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _by_kind(plugins: Plugins) -> dict[str, list[Offer[Any]]]:
    return {
        "architecture": list(plugins.architectures),
        "explainer": list(plugins.explainers),
        "reader": list(plugins.readers),
        "layout": list(plugins.layouts),
    }


def _finding(kind: str, record: Any, check: Callable[[], None] | str) -> Finding:
    if isinstance(check, str):
        return Finding(kind, record.name, "unchecked", check)
    try:
        check()
    except ContractError as error:
        return Finding(kind, record.name, "broken", str(error))
    except NotApplicable as error:
        return Finding(kind, record.name, "unchecked", str(error))
    return Finding(kind, record.name, "kept")


def _check_of(
    kind: str, record: Any, examples: Sequence[Path], options: LayoutOptions
) -> Callable[[], None] | str:
    """Return the check of a record, or why there is none."""
    from mura_plugins.testing import check_explainer, check_layout, check_reader

    if kind == "architecture":
        if record.name.endswith("*"):
            return f"it is a family; check a member, such as {record.name[:-1]}NAME"
        return partial(_check_architecture, record)
    if kind == "explainer":
        return partial(check_explainer, record)
    for example in examples:
        if kind == "reader" and _is_of(record, example):
            return partial(check_reader, record, example)
        if kind == "layout" and _is_in(record, example, options):
            return partial(check_layout, record, example, options)
    what = "a file of its format" if kind == "reader" else "a data set that it recognises"
    return f"it needs {what}: --example PATH"


def _check_architecture(record: Architecture) -> None:
    from mura_plugins.testing import check_architecture

    try:
        check_architecture(record)
    except ContractError as error:
        # It may refuse small images; then it is checked at its own size.
        if not isinstance(error.__cause__, PluginError):
            raise
        check_architecture(record, sizes=(record.input_size, record.input_size + 32))


def _is_of(record: Reader, example: Path) -> bool:
    if not example.is_file():
        return False
    content = example.read_bytes()
    return example.suffix.lower() in record.suffixes or any(
        content[offset : offset + len(magic)] == magic for offset, magic in record.signatures
    )


def _is_in(record: Layout, example: Path, options: LayoutOptions) -> bool:
    try:
        return bool(call_layout(record, record.recognise, example, options))
    except PluginError:
        return True  # the check says what is wrong
