"""File format readers provided by installed plugins."""

from __future__ import annotations

import math

from mura_core.errors import UsageError
from mura_core.imaging import SUFFIXES, Readers
from mura_plugins.manager import Plugins, load_plugins


def installed_readers(plugins: Plugins | None = None, *, window: str = "") -> Readers:
    """Return the file format readers of the installed plugins, by suffix and by signature.

    Parameters
    ----------
    plugins : Plugins, optional
        The installed plugins; loaded if not given.
    window : str, optional
        Window of formats that have one, such as DICOM, as "centre,width"; by default the file's
        own.

    Returns
    -------
    mapping of str or (int, bytes) to callable
        Functions from a Path to a grey image, by lower-case file name suffix, such as ".dcm", and
        by signature: an offset and the bytes there, such as (128, b"DICM").

    Raises
    ------
    PluginError
        Two readers share a suffix or a signature, or one has a suffix that the core reads itself.
    UsageError
        The window isn't a centre and a width.
    """
    plugins = load_plugins() if plugins is None else plugins
    return plugins.reader_functions(SUFFIXES, _parse_window(window))


def _parse_window(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        centre, width = (float(number) for number in text.split(","))
    except ValueError:
        centre = width = math.nan
    # A linear window is defined for a width of at least 1 (DICOM PS3.3, C.11.2.1.2).
    if not (math.isfinite(centre) and math.isfinite(width) and width >= 1):
        raise UsageError(
            f"--window {text!r} is not CENTRE,WIDTH, such as 2048,4096, with a width of at least 1"
        )
    return centre, width
