"""File format readers provided by installed plugins."""

from __future__ import annotations

from mura_core.imaging import SUFFIXES, Readers
from mura_plugins.manager import Plugins, load_plugins


def installed_readers(plugins: Plugins | None = None) -> Readers:
    """Return the file format readers of the installed plugins, by suffix.

    Parameters
    ----------
    plugins : Plugins, optional
        The installed plugins; loaded if not given.

    Returns
    -------
    mapping of str to callable
        Functions from a Path to a grey image, by lower-case file name suffix, such as ".dcm".

    Raises
    ------
    PluginError
        Two readers share a suffix, or one has a suffix that the core reads itself.
    """
    plugins = load_plugins() if plugins is None else plugins
    return plugins.readers_by_suffix(SUFFIXES)
