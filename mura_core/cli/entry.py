"""The group `mura-run` with all its commands, which register themselves on import."""

import mura_core.cli.cache
import mura_core.cli.commands
import mura_core.cli.dicom
import mura_core.cli.inspection  # noqa: F401
from mura_core.cli.group import main

__all__ = ["main"]
