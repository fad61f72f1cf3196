"""The interface between mura-run and its plugins, which include the built-in ones.

A plugin is a module that implements hooks of `mura_plugins.hookspecs`, marked with `@hookimpl`. Its
distribution names it in an entry point of the group `mura`. Importing this package or a plugin's
module doesn't import Keras, because records refer to their functions by name.
"""

import pluggy

from mura_plugins.errors import MuraError, NotApplicable, PluginError
from mura_plugins.records import (
    Architecture,
    Explainer,
    LabelledImage,
    LabelledImages,
    Layout,
    LayoutOptions,
    Reader,
    RunSummary,
)

hookimpl = pluggy.HookimplMarker("mura")

__all__ = [
    "Architecture",
    "Explainer",
    "LabelledImage",
    "LabelledImages",
    "Layout",
    "LayoutOptions",
    "MuraError",
    "NotApplicable",
    "PluginError",
    "Reader",
    "RunSummary",
    "hookimpl",
]
