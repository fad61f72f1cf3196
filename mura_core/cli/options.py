"""Options of `mura-run`: one for each setting of a run, and those that select settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import click

from mura_core.cli.grouped_help import GroupedOption
from mura_core.errors import DataError
from mura_core.runs import RunConfig
from mura_core.settings import Group, Setting, declared_by
from mura_core.training import RECIPES

Decorator = Callable[[Any], Any]

SETTINGS = declared_by(RunConfig)

# Without --size, the architecture determines the size.
_DEFAULTS = {"size": None}


def options(*some: Decorator) -> Decorator:
    """Return a decorator that adds options, in the given order.

    Parameters
    ----------
    *some : callable
        Decorators that each add options or arguments.
    """

    def decorate(function: Any) -> Any:
        for option in reversed(some):
            function = option(function)
        return function

    return decorate


# Options made from settings -------------------------------------------------------------------


def setting_options(*names: str, **attributes: Any) -> Decorator:
    """Return a decorator that adds the options of settings.

    Parameters
    ----------
    *names : str
        Names of settings of `RunConfig`.
    **attributes
        Attributes of `click.Option` that override the declared ones, such as `default`.
    """
    return options(*(_option_of(SETTINGS[name], attributes) for name in names))


def _option_of(setting: Setting, attributes: dict[str, Any]) -> Decorator:
    name = setting.option
    if setting.kind is bool and setting.default:
        name = f"{name}/--no-{name.removeprefix('--')}"
    declared = {
        "type": _type_of(setting),
        "is_flag": setting.kind is bool,
        "multiple": setting.kind is tuple,
        "default": _DEFAULTS.get(setting.name, setting.default),
        "show_default": setting.shown_default or True,
        "metavar": setting.metavar or {int: "N", float: "X"}.get(setting.kind),
        "help": setting.help,
        "group": setting.group,
    }
    return click.option(name, cls=GroupedOption, **(declared | attributes))


def _type_of(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.kind is bool:
        return click.BOOL
    if setting.kind not in (int, float):
        return click.STRING
    limits: Mapping[str, Any] = setting.limits
    return (click.IntRange if setting.kind is int else _FiniteRange)(
        min=limits.get("ge", limits.get("gt")),
        max=limits.get("le", limits.get("lt")),
        min_open="gt" in limits,
        max_open="lt" in limits,
    )


class _FiniteRange(click.FloatRange):
    """A range of finite numbers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail if it is out of range or not finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class PathType(click.Path):
    """A path, which an empty text is not: Python would take it for the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail if it is empty."""
        if value == "":
            self.fail("is empty; a variable of the shell may not be set.", param, ctx)
        return super().convert(value, param, ctx)


# Options that select settings, and a run folder -----------------------------------------------


def _load_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    from mura_core.runs import read_config

    try:
        settings = read_config(path)
    except DataError as error:
        raise click.UsageError(str(error)) from None
    ctx.default_map = {**(ctx.default_map or {}), **settings}


def _load_recipe(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is not None:
        ctx.default_map = {**(ctx.default_map or {}), **RECIPES[name]}


def _load_resumed(ctx: click.Context, _: click.Parameter, folder: Path | None) -> Path | None:
    if folder is not None:
        _load_config(ctx, _, folder / "config.yaml")
        ctx.default_map = {**(ctx.default_map or {}), "out": folder}
    return folder


class Bytes(click.ParamType):  # type: ignore[type-arg]
    """A memory size such as 8GiB, converted to bytes."""

    name = "SIZE"
    _units: ClassVar = {"GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes."""
        for unit, size in self._units.items():
            number = str(value).removesuffix(unit).strip()
            if number != value and number.replace(".", "", 1).isdecimal():
                return int(float(number) * size)
        return self.fail(f"{value!r} is not a size such as 8GiB or 7500MB", param, ctx)


run_options = options(
    click.option(
        "--recipe",
        cls=GroupedOption,
        group=Group.MOST_USED,
        type=click.Choice(list(RECIPES)),
        is_eager=True,
        expose_value=False,
        callback=_load_recipe,
        help="Settings that were tested together. Explicit options override the recipe.",
    ),
    click.option(
        "--out",
        cls=GroupedOption,
        group=Group.MOST_USED,
        type=PathType(file_okay=False, path_type=Path),
        default=lambda: Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}",
        show_default="runs/<time>",
        help="New folder for the results.",
    ),
    click.option(
        "--gpu-memory",
        cls=GroupedOption,
        group=Group.MACHINE,
        type=Bytes(),
        help="Adapt the training to GPUs with this much memory, such as 8GiB; see `mura-run plan`.",
    ),
    click.option(
        "--config",
        type=PathType(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        help="YAML file of settings. A run folder's config.yaml repeats the run.",
    ),
    click.option(
        "--resume",
        type=PathType(exists=True, file_okay=False, path_type=Path),
        metavar="RUN",
        is_eager=True,
        callback=_load_resumed,
        help="Continue a stopped run from its last checkpoint, with its own settings.",
    ),
)


# Options of every command ---------------------------------------------------------------------

verbosity_options = options(
    click.option("--quiet", "-q", is_flag=True, help="Print only warnings and errors."),
    click.option("--verbose", "-v", is_flag=True, help="Print details."),
)

run_argument = click.argument(
    "folder", metavar="RUN", type=PathType(exists=True, file_okay=False, path_type=Path)
)
