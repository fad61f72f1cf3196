"""Help pages that list options by group."""

from __future__ import annotations

from typing import Any

import click

from mura_core.settings import Group


class GroupedOption(click.Option):
    """An option that belongs to a group.

    Parameters
    ----------
    *names
        Names of the option.
    group : Group
        The group under whose heading the option is listed.
    **attributes
        Further attributes of `click.Option`.
    """

    def __init__(self, *names: Any, group: Group = Group.OTHER, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists options by group; those without a group come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups."""
        rows: dict[Group, list[tuple[str, str]]] = {group: [] for group in Group}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                rows[getattr(parameter, "group", Group.OTHER)].append(row)
        for group, own in rows.items():
            if own:
                with formatter.section(group):
                    formatter.write_dl(own)
