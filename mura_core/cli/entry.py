"""The command `mura-run` with all its commands, which add themselves when they are imported."""

import mura_core.cli.commands
import mura_core.cli.inspection  # noqa: F401
from mura_core.cli.group import main

__all__ = ["main"]
