"""Load one plugin: import its module, check its hooks, and collect its records."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from mura_plugins import hookspecs
from mura_plugins.errors import PluginError
from mura_plugins.guard import in_words, is_from_user
from mura_plugins.hookspecs import CONTRACT_VERSION
from mura_plugins.record_checks import Record, checked_records
from mura_plugins.records import Architecture, Explainer, Layout, Reader

_HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("mura_"))


@dataclass(frozen=True, eq=False)
class LoadedPlugin:
    """A plugin and its records.

    Attributes
    ----------
    manager : pluggy.PluginManager
        Calls the hooks of this plugin only.
    architectures, explainers, readers, layouts : list
        Valid records.
    printed : str
        What it printed while it was loaded.
    """

    manager: pluggy.PluginManager
    architectures: list[Architecture]
    explainers: list[Explainer]
    readers: list[Reader]
    layouts: list[Layout]
    printed: str


def load_plugin(entry_point: EntryPoint) -> LoadedPlugin:
    """Import a plugin and return its records.

    What it prints is kept from the console, whose output may be read by a program.

    Parameters
    ----------
    entry_point : EntryPoint

    Raises
    ------
    PluginError
        It can't be imported, whatever its module raises, or it doesn't keep the contract.
    """
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", write_through=True)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            plugin = entry_point.load()
            _refuse_newer_contract(plugin)
            manager = _register(plugin, entry_point.name)
            architectures = _records(manager.hook.mura_architectures, Architecture)
            explainers = _records(manager.hook.mura_explainers, Explainer)
            readers = _records(manager.hook.mura_readers, Reader)
            layouts = _records(manager.hook.mura_layouts, Layout)
        except BaseException as error:
            if is_from_user(error):
                raise
            raise PluginError(in_words(error)) from error
    printed = raw.getvalue().decode(errors="replace")
    return LoadedPlugin(manager, architectures, explainers, readers, layouts, printed)


def _refuse_newer_contract(plugin: Any) -> None:
    needed = getattr(plugin, "requires", CONTRACT_VERSION)
    if not isinstance(needed, int) or isinstance(needed, bool):
        raise PluginError(f"requires is {needed!r}; expected the contract's version, such as 1")
    if needed > CONTRACT_VERSION:
        raise PluginError(
            f"it needs version {needed} of the contract with plugins, and this mura-run has"
            f" version {CONTRACT_VERSION}; update mura-run"
        )


def _register(plugin: Any, name: str) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("mura")
    marked = {
        attribute
        for attribute in dir(plugin)
        if manager.parse_hookimpl_opts(plugin, attribute) is not None
    }
    for hook in sorted(marked - _HOOKS):
        similar = difflib.get_close_matches(hook, _HOOKS, 1)
        known = f"did you mean {similar[0]}?" if similar else f"known are {_in_order(_HOOKS)}"
        raise PluginError(f"it has the unknown hook {hook}; {known}")
    unmarked = {hook for hook in _HOOKS - marked if inspect.isroutine(getattr(plugin, hook, None))}
    if unmarked:
        raise PluginError(f"{_in_order(unmarked)} must be marked with @mura_plugins.hookimpl")
    if not marked:
        raise PluginError(f"it has no hook; known are {_in_order(_HOOKS)}")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=name)
    return manager


def _in_order(names: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _records(hook: pluggy.HookCaller, kind: type[Record]) -> list[Record]:
    # Called without pluggy, which drops None, so that a forgotten `return` is noticed.
    implementations = hook.get_hookimpls()
    if not implementations:
        return []
    try:
        return checked_records(hook.name, implementations[0].function(), kind)
    except PluginError:
        raise
    except BaseException as error:
        if is_from_user(error):
            raise
        raise PluginError(f"{hook.name} failed ({in_words(error)})") from error
