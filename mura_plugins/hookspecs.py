"""The hooks that a plugin can implement. Arguments can be added, but not removed."""

import pluggy

from mura_plugins.records import Architecture, Explainer, Layout, Reader, RunSummary

# A plugin that needs a later version says so in its module: requires = 2.
CONTRACT_VERSION = 1

hookspec = pluggy.HookspecMarker("mura")


@hookspec
def mura_architectures() -> list[Architecture]:  # type: ignore[empty-body]
    """Return the architectures that the plugin provides."""


@hookspec
def mura_explainers() -> list[Explainer]:  # type: ignore[empty-body]
    """Return the explainers that the plugin provides."""


@hookspec
def mura_readers() -> list[Reader]:  # type: ignore[empty-body]
    """Return readers for additional image file formats."""


@hookspec
def mura_layouts() -> list[Layout]:  # type: ignore[empty-body]
    """Return layouts of data sets: how their files and folders are read as a table."""


@hookspec
def mura_run_finished(run: RunSummary) -> None:
    """Handle a finished run. Exceptions are reported and don't affect the run."""
