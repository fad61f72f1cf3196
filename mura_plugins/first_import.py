"""Import a plugin in a process of its own first: some modules would take the program down.

A module that calls `os._exit`, crashes, or never returns can't be guarded against within a process.
So each version of a plugin is loaded in a child process once. The verdict is kept in the user's
cache, by the distribution, its version, and the names, sizes and times of the plugin's files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from mura_plugins.errors import PluginError
from mura_plugins.loading import load_plugin

LIMIT_SECONDS = 10.0

# Exit statuses of the child process.
_HARMLESS = 81
_INTERRUPTED = 82


def refuse_harmful(entry_point: EntryPoint, *, again: bool = False) -> None:
    """Raise an error if importing a plugin would end or block the program.

    An import that raises an exception isn't harmful: it is repeated and reported by `load_plugin`.

    Parameters
    ----------
    entry_point : EntryPoint
    again : bool
        Whether to import it again, though there is a verdict in the cache.

    Raises
    ------
    PluginError
        It ends the process, or takes longer than `LIMIT_SECONDS`.
    """
    if entry_point.module in sys.modules or not sys.executable:
        return
    files = _files(entry_point.module)
    if not files:
        return  # there is nothing to import
    verdict = _verdict_file(entry_point, files)
    try:
        reason = None if again else verdict.read_text(encoding="utf-8")
    except OSError:
        reason = None
    if reason is None:
        reason = _try(entry_point)
        _keep(verdict, reason)
    if reason:
        raise PluginError(f"{reason}; mura-run check-plugin {entry_point.name} tries it again")


def _try(entry_point: EntryPoint) -> str:
    """Return why a plugin is harmful; empty if it isn't."""
    program = [sys.executable, "-P", "-m", __name__, entry_point.name, entry_point.value]
    # The same module search path as this process.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    nowhere = subprocess.DEVNULL
    try:
        status = subprocess.run(  # noqa: S603
            program,
            env=environment,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            timeout=LIMIT_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return (
            f"importing it takes longer than {LIMIT_SECONDS:g} seconds; heavy imports and work"
            " belong inside functions"
        )
    if status == _HARMLESS:
        return ""
    if status == _INTERRUPTED:
        return "importing it raises KeyboardInterrupt"
    how = f"exit status {status}" if status >= 0 else _signal_name(-status)
    return f"importing it ends the program ({how})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _files(module: str) -> list[Path]:
    """Return the files of a module's top-level package, without importing it."""
    # Python remembers what a folder held, also from just before a plugin was installed.
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.has_location and spec.origin else []
    folders = map(Path, spec.submodule_search_locations)
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and path.is_file()
    ]


def _verdict_file(entry_point: EntryPoint, files: list[Path]) -> Path:
    import platformdirs

    origin = entry_point.dist
    key = [origin.name, origin.version] if origin is not None else []
    key += [entry_point.name, entry_point.value]
    for path in files:
        status = path.stat()
        key.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    name = hashlib.sha256("\n".join(key).encode(errors="surrogateescape")).hexdigest()
    return platformdirs.user_cache_path("mura-run") / "plugins" / f"{name}.txt"


def _keep(verdict: Path, reason: str) -> None:
    temporary = verdict.with_suffix(f".{os.getpid()}")
    try:
        verdict.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(reason, encoding="utf-8")
        temporary.replace(verdict)
    except OSError:
        return  # without a cache, the plugin is tried by every command


def _main(name: str, value: str) -> None:
    status = _HARMLESS
    try:
        load_plugin(EntryPoint(name, value, "mura"))
    except PluginError:
        pass
    except KeyboardInterrupt:
        status = _INTERRUPTED
    os._exit(status)  # without waiting for threads, or for what the plugin does at exit


if __name__ == "__main__":
    _main(*sys.argv[1:])
