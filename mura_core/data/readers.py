"""The readers of further file formats that plugins offer."""

from __future__ import annotations

from mura_core.imaging import SUFFIXES, Readers
from mura_plugins.manager import Plugins, load_plugins


def installed_readers(plugins: Plugins | None = None) -> Readers:
    """Return the installed plugins' functions for further file formats, by file name ending.

    Parameters
    ----------
    plugins : Plugins, optional
        Where they were loaded already.

    Raises
    ------
    PluginError
        Two readers take the same ending, or one takes an ending that the core reads itself.
    """
    plugins = load_plugins() if plugins is None else plugins
    return plugins.readers_by_suffix(SUFFIXES)
