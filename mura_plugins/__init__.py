"""The contracts between mura-run and its plugins, the built-in ones included.

A plugin is a module with some of the hooks in `mura_plugins.hookspecs`, marked `@hookimpl`, and
named by its distribution's entry point of the group `mura`. Importing this package, or a
plugin's module, imports no Keras: records name their functions by string.
"""

import pluggy

from mura_plugins.errors import MuraError, NotApplicable, PluginError
from mura_plugins.records import Architecture, Explainer, Reader, RunSummary

hookimpl = pluggy.HookimplMarker("mura")

__all__ = [
    "Architecture",
    "Explainer",
    "MuraError",
    "NotApplicable",
    "PluginError",
    "Reader",
    "RunSummary",
    "hookimpl",
]
