"""Show paths on pages without the names of users and of folders above the data."""

from __future__ import annotations

import re
from pathlib import Path, PurePath, PureWindowsPath

_SHOWN_PARTS = 2
# The value of a line of YAML that is an absolute path, on Unix or Windows.
_ABSOLUTE = re.compile(r"(?m)^(\s*(?:- |\w+: )['\"]?)(/|[A-Za-z]:[\\/])(.*?)(['\"]?)$")


def shown_path(path: str) -> str:
    """Return a path as pages show it.

    Parameters
    ----------
    path : str

    Returns
    -------
    str
        A relative path as it is; an absolute one with ~ for the home folder, or with its last two
        parts only.
    """
    kind: type[PurePath] = PureWindowsPath if re.match(r"[A-Za-z]:[\\/]", path) else PurePath
    whole = kind(path)
    if not whole.is_absolute():
        return path
    home = str(Path.home())
    if path.startswith(f"{home}/"):
        return "~" + path[len(home) :]
    parts = whole.parts[1:]
    return "/".join(parts if len(parts) <= _SHOWN_PARTS else ("...", *parts[-_SHOWN_PARTS:]))


def shown_config(text: str) -> str:
    """Return the text of a `config.yaml` with its absolute paths as pages show them.

    Parameters
    ----------
    text : str
    """
    return _ABSOLUTE.sub(lambda one: f"{one[1]}{shown_path(one[2] + one[3])}{one[4]}", text)
