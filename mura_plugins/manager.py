"""Find the installed plugins, and collect what they offer.

Each plugin is loaded and asked on its own, so a broken one is a warning that names it, and
nothing else; those of other packages are imported in a child process first. The variable
`MURA_PLUGINS`, where it is set, holds the distributions whose plugins are loaded beside the
built-in ones, separated by commas; empty, it means none.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import textwrap
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeAlias

import pluggy

from mura_plugins.errors import MuraError, PluginError
from mura_plugins.first_import import refuse_harmful
from mura_plugins.guard import in_words, is_from_user
from mura_plugins.loading import load_plugin
from mura_plugins.offers import Failure, Offer, unusable
from mura_plugins.record_checks import Record
from mura_plugins.records import (
    Architecture,
    Explainer,
    Layout,
    LayoutOptions,
    Reader,
    RunSummary,
)

log = logging.getLogger("mura.plugins")

BUILT_IN = "mura-run"
_LONGEST_SHOWN = 200  # characters of what a plugin prints

# Of a file: the ending of its name, or an offset and the bytes there.
Kind: TypeAlias = str | tuple[int, bytes]


@dataclass
class Plugins:
    """Everything the installed plugins offer."""

    architectures: list[Offer[Architecture]] = field(default_factory=list)
    explainers: list[Offer[Explainer]] = field(default_factory=list)
    readers: list[Offer[Reader]] = field(default_factory=list)
    layouts: list[Offer[Layout]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _managers: list[tuple[EntryPoint, pluggy.PluginManager]] = field(default_factory=list)

    def architecture(self, name: str) -> Architecture:
        """Return the architecture of this name, which may be a member of a family.

        Raises
        ------
        PluginError
            No plugin, or more than one, offers it.
        """
        return self.architecture_offer(name).record

    def architecture_offer(self, name: str) -> Offer[Architecture]:
        """Return the architecture of this name and its distribution; raise as `architecture`."""
        names = {offer.record.name for offer in self.architectures}
        families = [of for of in names if of.endswith("*") and name.startswith(of[:-1])]
        if name in names or not families:
            return self._only("--model", name, self.architectures)
        offer = self._only("--model", max(families, key=len), self.architectures)
        family, member = offer.record, name.removeprefix(offer.record.name[:-1])
        record = replace(family, name=name, build=family.build.replace("*", member))
        return replace(offer, record=record)

    def explainer(self, name: str) -> Explainer:
        """Return the explainer of this name; raise as `architecture` does."""
        return self.explainer_offer(name).record

    def explainer_offer(self, name: str) -> Offer[Explainer]:
        """Return the explainer of this name and its distribution; raise as `architecture` does."""
        return self._only("--explain", name, self.explainers)

    def reader_functions(
        self, built_in: Collection[str], window: tuple[float, float] | None = None
    ) -> dict[Kind, Callable[[Path], Any]]:
        """Return the readers' functions, by the file name endings and signatures that they read.

        A reader that can't be imported, or that takes an ending which the core reads, is left out
        with a warning.

        Parameters
        ----------
        built_in : collection of str
            The endings that the core reads itself, which no reader may take.
        window : tuple of float, optional
            Centre and width, for the functions that have an argument `window`.

        Raises
        ------
        PluginError
            An ending or a signature has two readers.
        """
        providers: dict[Kind, str] = {}
        functions: dict[Kind, Callable[[Path], Any]] = {}
        for offer in self.readers:
            taken = ", ".join(
                suffix for suffix in offer.record.suffixes if suffix.lower() in built_in
            )
            try:
                if taken:
                    raise PluginError(f"mura-run itself reads {taken}")
                read = _reading(offer.record, window)
            except PluginError as error:
                log.warning("%s", unusable("reader", offer, error))
                continue
            suffixes = [suffix.lower() for suffix in offer.record.suffixes]
            kinds: list[Kind] = [*suffixes, *offer.record.signatures]
            for kind in kinds:
                if kind in providers:
                    shown = kind if isinstance(kind, str) else f"{kind[1]!r} at byte {kind[0]}"
                    raise PluginError(
                        f"{shown} files: {providers[kind]} and {offer.distribution} both read"
                        f" them; uninstall {offer.distribution}"
                    )
                providers[kind] = offer.distribution
                functions[kind] = read
        return functions

    def layout_of(self, data: Path, options: LayoutOptions) -> Layout:
        """Return the layout that recognises a data set.

        Those of other packages are asked before the built-in ones, whose order decides.

        Parameters
        ----------
        data : Path
            An existing file or folder.
        options : LayoutOptions
            What the user said about it.

        Raises
        ------
        PluginError
            Layouts of several packages recognise it, none does, or one fails.
        """
        built_in = [offer for offer in self.layouts if offer.distribution == BUILT_IN]
        others = [o for o in self.layouts if o.distribution != BUILT_IN and _is_there(o)]
        found = [o for o in others if call_layout(o.record, o.record.recognise, data, options)]
        if len(found) > 1:
            names = " and ".join(f"{o.record.name} of {o.distribution}" for o in found)
            raise PluginError(f"{data}: is recognised by the layouts {names}; uninstall one")
        if found:
            return found[0].record
        for offer in built_in:
            if call_layout(offer.record, offer.record.recognise, data, options):
                return offer.record
        if not built_in:
            raise PluginError("mura-run's own layouts are missing; install it again: pip install .")
        known = ", ".join(offer.record.name for offer in self.layouts)
        raise PluginError(f"{data}: none of the layouts recognises it: {known}")

    def tell_finished(self, run: RunSummary) -> list[Failure]:
        """Call every `mura_run_finished`, and return those that failed."""
        failures = []
        for entry_point, manager in self._managers:
            try:
                manager.hook.mura_run_finished(run=run)
            except BaseException as error:
                if is_from_user(error):
                    raise
                origin = _distribution(entry_point)[0]
                failures.append(Failure(entry_point.name, origin, in_words(error)))
        return failures

    def _only(self, option: str, name: str, offers: list[Offer[Record]]) -> Offer[Record]:
        found = [offer for offer in offers if offer.record.name == name]
        if len(found) > 1:
            providers = " and ".join(offer.distribution for offer in found)
            raise PluginError(f"{option} {name}: {providers} both offer it; uninstall one")
        if not found:
            known = ", ".join(sorted({offer.record.name for offer in offers}))
            failed = "".join(f" {failure}" for failure in self.failures)
            raise PluginError(f"{option} {name!r} is not one of {known}.{failed}")
        return found[0]


def load_plugins(*, try_again: bool = False) -> Plugins:
    """Return what the built-in and the installed plugins offer.

    Logs a warning for each plugin that can't be used, or that prints while it is loaded.

    Parameters
    ----------
    try_again : bool
        Whether to import plugins again that ended or blocked the program earlier.
    """
    plugins = Plugins()
    for entry_point in _wanted(entry_points(group="mura")):
        origin = _distribution(entry_point)
        try:
            if origin[0] != BUILT_IN:
                refuse_harmful(entry_point, again=try_again)
            loaded = load_plugin(entry_point)
        except PluginError as error:
            plugins.failures.append(Failure(entry_point.name, origin[0], str(error)))
            log.warning("%s", plugins.failures[-1])
            continue
        if loaded.printed.strip():
            said = textwrap.shorten(loaded.printed, _LONGEST_SHOWN, placeholder=" ...")
            log.warning("The plugin %r of %s prints while it is loaded: %s",
                        entry_point.name, origin[0], said)  # fmt: skip
        plugins.architectures += [Offer(record, *origin) for record in loaded.architectures]
        plugins.explainers += [Offer(record, *origin) for record in loaded.explainers]
        plugins.readers += [Offer(record, *origin) for record in loaded.readers]
        plugins.layouts += [Offer(record, *origin) for record in loaded.layouts]
        plugins._managers.append((entry_point, loaded.manager))
    return plugins


def resolve(name: str) -> Callable[..., Any]:
    """Return the function that a record names as `"package.module:function"`.

    Raises
    ------
    PluginError
        It can't be imported.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except BaseException as error:
        if is_from_user(error):
            raise
        raise PluginError(f"{name} can't be imported ({in_words(error)})") from error


def call_layout(layout: Layout, function: str, data: Path, options: LayoutOptions) -> Any:
    """Return what a function of a layout returns.

    Parameters
    ----------
    layout : Layout
        The layout, for error messages.
    function : str
        Its `recognise` or `read`, which may leave out the argument `options`.
    data : Path
        An existing file or folder.
    options : LayoutOptions
        What the user said about it.

    Raises
    ------
    PluginError
        The function can't be imported, or fails. A `MuraError` of its own is raised as it is.
    """
    called = resolve(function)
    try:
        taken = len(inspect.signature(called).parameters)
        return called(*(data, options)[:taken])
    except (MuraError, OSError):
        raise
    except BaseException as error:
        if is_from_user(error):
            raise
        raise PluginError(f"{data}: the layout {layout.name} failed ({in_words(error)})") from error


def parse_options(build: Callable[..., Any], settings: tuple[str, ...]) -> dict[str, Any]:
    """Return `key=value` settings as keyword arguments of a builder.

    The builder's annotations say what a value is read as: int, float, bool, str, or a tuple of
    one of them, its items separated by commas.

    Raises
    ------
    PluginError
        The builder has no such option, or the value isn't of its type.
    """
    options = dict(list(inspect.signature(build, eval_str=True).parameters.items())[1:])
    parsed: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in options:
            known = ", ".join(
                f"{option.name}={_as_text(option.default)}" for option in options.values()
            )
            raise PluginError(
                f"--model-option {setting!r} is not an option of this model; "
                + (f"it has {known}" if known else "it has none")
            )
        try:
            parsed[name] = _parse(text, options[name].annotation)
        except ValueError:
            raise PluginError(
                f"--model-option {setting!r}: expected a value like"
                f" {name}={_as_text(options[name].default)}"
            ) from None
    return parsed


def _parse(text: str, annotation: Any) -> Any:
    if getattr(annotation, "__origin__", None) is tuple:
        return tuple(_parse(item, annotation.__args__[0]) for item in text.split(","))
    if annotation is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return annotation(text)


def _is_there(offer: Offer[Layout]) -> bool:
    """Return whether a layout's function can be imported; warn if it can't."""
    try:
        resolve(offer.record.recognise)
    except PluginError as error:
        log.warning("%s", unusable("layout", offer, error))
        return False
    return True


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reading(record: Reader, window: tuple[float, float] | None) -> Callable[[Path], Any]:
    read = resolve(record.read)
    if window is None or "window" not in inspect.signature(read).parameters:
        return read
    return partial(read, window=window)


def _wanted(found: Iterator[EntryPoint] | Any) -> list[EntryPoint]:
    allowed = os.environ.get("MURA_PLUGINS")
    entries = sorted(found, key=lambda entry: (_distribution(entry)[0] != BUILT_IN, entry.name))
    if allowed is None:
        return entries
    names = {BUILT_IN, *(name.strip() for name in allowed.split(","))}
    return [entry for entry in entries if _distribution(entry)[0] in names]


def _distribution(entry_point: EntryPoint) -> tuple[str, str]:
    if entry_point.dist is None:
        return ("unknown", "")
    return entry_point.dist.name, entry_point.dist.version
