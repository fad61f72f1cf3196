"""The command `mura-run` with all its commands, which add themselves when they are imported."""

from mura_core.cli import commands, inspection  # noqa: F401
from mura_core.cli.group import main

__all__ = ["main"]
