"""The command that shows, clears and checks the cache."""

from __future__ import annotations

import click

from mura_core.cli.group import command


@command(
    click.argument("action", type=click.Choice(["list", "prune", "verify"])),
    click.option(
        "--days",
        type=click.IntRange(min=0),
        default=90,
        help="With prune: remove what nothing has used for so many days.",
    ),
    example="mura-run cache prune --days 30",
)
def cache(action: str, days: int) -> None:
    """List, prune or verify the prepared images in the cache.

    list shows each set with its size and when it was used last. prune removes half-made sets and
    those that nothing has used for 90 days; they are prepared again when they are needed. verify
    checks the checksums of all, and has exit status 1 if one is wrong.
    """
    from mura_core.pipeline import listed, pruned, verified

    lines = {"list": lambda: listed(days), "prune": lambda: pruned(days), "verify": verified}
    for line in lines[action]():
        click.echo(line)
