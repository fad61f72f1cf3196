"""The hooks that a plugin may implement. Version 1: an argument may be added, none removed."""

import pluggy

from mura_plugins.records import Architecture, Explainer, Reader, RunSummary

hookspec = pluggy.HookspecMarker("mura")


@hookspec
def mura_architectures() -> list[Architecture]:  # type: ignore[empty-body]
    """Return the networks that this plugin can build."""


@hookspec
def mura_explainers() -> list[Explainer]:  # type: ignore[empty-body]
    """Return the methods by which this plugin explains a network."""


@hookspec
def mura_readers() -> list[Reader]:  # type: ignore[empty-body]
    """Return readers of file formats that the core doesn't know."""


@hookspec
def mura_run_finished(run: RunSummary) -> None:
    """Hear that a run is finished; what this raises is reported, and the run stands."""
