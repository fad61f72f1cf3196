"""Read and write `config.yaml`, the settings of a run."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from reprlib import Repr
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mura_core.errors import DataError
from mura_core.files import replacing
from mura_core.runs.settings import PHANTOMS, RunConfig
from mura_core.settings import Setting, declared_by

_MOST_BYTES = 1_000_000
_MOST_LETTERS = 80  # of a value in a message


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, by the names of `RunConfig`'s fields.

    Parameters
    ----------
    path : Path
        The file, such as `config.yaml` of a run.

    Raises
    ------
    DataError
        If the file can't be read or isn't YAML, or a setting has an unknown name, a wrong type or a
        value that isn't allowed.
    """
    written = _read_yaml(path)
    settings = declared_by(RunConfig)
    for name in written:
        if name not in settings:
            raise DataError(f"{path}: {_shown(name)} is not one of {', '.join(settings)}")
    meant = {name: _as_meant(settings[name], value) for name, value in written.items()}
    try:
        checked = _checker().validate_python(meant)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise DataError(
            f"{path}: {name}: {_shown(written[name])} is not {settings[name].allowed}"
        ) from None
    return {name: getattr(checked, name) for name in written}


def config_of(folder: Path) -> RunConfig:
    """Return the settings of a run.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    DataError
        If the folder or its `config.yaml` is missing or invalid.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder")
    return RunConfig(**read_config(folder / "config.yaml"))


def write_config(path: Path, config: RunConfig) -> None:
    """Write the settings of a run as YAML, with absolute paths.

    Parameters
    ----------
    path : Path
        File to write.
    config : RunConfig
        The settings.
    """
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config).items()
    }
    if config.data != PHANTOMS:
        settings["data"] = str(Path(config.data).resolve())
    if Path(config.explain_images).is_file():
        settings["explain_images"] = str(Path(config.explain_images).resolve())
    with replacing(path) as file:
        yaml.safe_dump(settings, file, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """Loads plain values. No setting needs aliases, which could repeat one a billion times."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node, which must not be an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases, such as *name, are not allowed")
        return super().compose_node(parent, index)


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f"{path}: has more than {_MOST_BYTES:,} bytes; a few hundred are usual")
        settings = yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    # A ValueError means a wrong encoding, or an impossible date or number.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(settings, dict):
        raise DataError(f"{path}: must contain lines like 'epochs: 10'")
    return settings


def _shown(value: Any) -> str:
    """Return a value as Python writes it, abbreviated if it is long."""
    form = Repr()
    form.maxstring = form.maxother = form.maxlong = _MOST_LETTERS
    return form.repr(value)


def _as_meant(setting: Setting, value: Any) -> Any:
    """Return a value converted to the type that the author of the YAML file meant.

    24 may stand for the text '24'. YAML 1.1 reads `on` as true and `1e-3` as text.
    """
    if isinstance(value, bool):
        return ("off", "on")[value] if "on" in setting.choices else value
    if setting.kind is str and isinstance(value, (int, float)):
        return str(value)
    if setting.kind is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


@cache
def _checker() -> TypeAdapter[RunConfig]:
    return TypeAdapter(RunConfig)
