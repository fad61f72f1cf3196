"""How a setting is declared: once, with its type, default, limits and help.

`RunConfig` declares every setting of a run. The options of `mura-run`, the checks of `config.yaml`
and docs/settings.md are made from what its fields declare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin, get_type_hints

_LIMITS = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
_KINDS = {bool: "true or false", int: "an integer", float: "a number", tuple: "a list of strings"}


class Group(StrEnum):
    """The heading of an option in the help and the documentation, in their order."""

    MOST_USED = "Most used"
    DATA = "Data"
    NETWORK = "Network"
    TRAINING = "Training"
    LOSS = "Loss"
    VALIDATION = "Validation"
    HEATMAPS = "Heatmaps"
    MACHINE = "Machine"
    OTHER = "Other"


@dataclass(frozen=True)
class Setting:
    """A setting, as it is declared.

    Parameters
    ----------
    name : str
        Name of the field and of the key in `config.yaml`.
    kind : {bool, int, float, str, tuple}
        Type of its values; a tuple holds str.
    default : object
    choices : tuple of str
        The values to choose from; empty if there are no fixed ones.
    limits : mapping
        Limits of a number: `ge`, `gt`, `le`, `lt`.
    group : Group
    help : str
    metavar : str
        Placeholder for the value in the help.
    shown_default : str
        Description of the default in the help, where its value says little.
    """

    name: str
    kind: type
    default: Any
    choices: tuple[str, ...]
    limits: Mapping[str, float]
    group: Group
    help: str
    metavar: str
    shown_default: str

    @property
    def option(self) -> str:
        """The name of its command-line option."""
        return "--" + self.name.replace("_", "-")

    @property
    def allowed(self) -> str:
        """The allowed values in words, such as "an integer of at least 1"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        limits = " and ".join(f"{_LIMITS[name]} {limit}" for name, limit in self.limits.items())
        return f"{_KINDS.get(self.kind, 'a string')} {limits}".rstrip()


def setting(
    default: Any,
    group: Group,
    text: str,
    *,
    metavar: str = "",
    shown_default: str = "",
    **limits: float,
) -> Any:
    """Declare a field of a dataclass as a setting.

    Its type is the field's annotation: bool, int, float, str, a Literal of strings, or tuple of
    str.

    Parameters
    ----------
    default : object
    group : Group
    text : str
        Help.
    metavar, shown_default : str, optional
        As of `Setting`.
    **limits : float
        Limits of a number, by the names that pydantic has for them: `ge`, `gt`, `le`, `lt`.
    """
    declared = {"group": group, "help": text, "metavar": metavar, "shown_default": shown_default}
    # Pydantic applies the other metadata: numbers are finite, and true is not 1.
    checks: dict[str, Any] = {"strict": True} if isinstance(default, (bool, int, float)) else {}
    if isinstance(default, float):
        checks["allow_inf_nan"] = False
    return field(default=default, metadata={"declared": declared, **checks, **limits})


def declared_by(settings: type[Any]) -> dict[str, Setting]:
    """Return the settings that a dataclass declares, by name, in the order of its fields."""
    types = get_type_hints(settings)
    found = {}
    for one in fields(settings):
        annotation = types[one.name]
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        found[one.name] = Setting(
            name=one.name,
            kind=type(one.default),
            default=one.default,
            choices=choices,
            limits={name: one.metadata[name] for name in _LIMITS if name in one.metadata},
            **one.metadata["declared"],
        )
    return found
