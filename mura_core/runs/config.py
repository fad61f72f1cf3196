"""The settings of a run, and the file that holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mura_core.errors import DataError, UsageError
from mura_core.files import replacing
from mura_core.imaging import Fit, Method, Square
from mura_core.training import Recipe

PHANTOMS = "phantoms"


_MOST_SEEDS = 50


_BETWEEN_SEEDS = 1000


@dataclass(frozen=True)
class RunConfig(Recipe):
    """Everything that decides a run; `config.yaml` holds it, under the options' names."""

    data: str = PHANTOMS
    body_part: tuple[str, ...] = ()
    size: int = 224
    resize: Method = "area"
    fit: Fit = "stretch"
    standardise: bool = True
    strict: bool = False
    model: str = "conv4"
    model_option: tuple[str, ...] = ()
    weights: str = "none"
    class_weights: str = "report"
    false_positive_bias: float = 0.0
    seed: int = 2019
    seeds: str = "1"
    deterministic: bool = False
    restart: bool = True
    shuffled_labels: bool = False
    devices: str = "all"
    validate: str = "split"
    proportion: float = 0.8
    folds: int = 5
    operating_point: str = "0.5"
    calibrate: str = "none"
    study_score: str = "mean"
    explain: tuple[str, ...] = ()
    explain_images: str = "24"
    layer: str = ""
    style: str = "inferno"

    @property
    def options(self) -> tuple[str, ...]:
        """The architecture's, as `key=value`."""
        weights = () if self.weights == "none" else (f"weights={self.weights}",)
        return (*self.model_option, *weights)

    @property
    def network_seeds(self) -> tuple[int, ...]:
        """The seed of each network that is averaged; one where there is nothing to average.

        Raises
        ------
        UsageError
            `seeds` is neither a number of them nor a list.
        """
        return parse_seeds(self.seeds, self.seed)

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    @property
    def square(self) -> Square:
        """What each image becomes."""
        return Square(self.size, self.resize, self.fit)


def parse_seeds(text: str, first: int) -> tuple[int, ...]:
    """Return the seeds that `--seeds` asks for.

    Parameters
    ----------
    text : str
        How many, such as `3`; or a list, such as `2019,7,11`.
    first : int
        The first one where `text` is a number. The others follow 1,000 apart, since folds and
        trainings that start again take the seeds right after one.

    Raises
    ------
    UsageError
        It is neither, names a seed twice, or asks for too many.
    """
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UsageError(f"--seeds {text!r} is neither a number, such as 3, nor a list: 2019,7,11")
    seeds = [int(number) for number in numbers]
    if len(seeds) == 1:
        if not 1 <= seeds[0] <= _MOST_SEEDS:
            raise UsageError(
                f"--seeds {text} is a number of networks, from 1 to {_MOST_SEEDS}; --seed {text}"
                " sets the seed of one"
            )
        seeds = [first + _BETWEEN_SEEDS * number for number in range(seeds[0])]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text} names a seed twice: its networks would be the same")
    return tuple(seeds)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of a `config.yaml`, under the names of `RunConfig`'s fields.

    Raises
    ------
    DataError
        It isn't YAML, or sets something that no run has.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(settings, dict):
        raise DataError(f"{path}: must hold lines like 'epochs: 10'")
    defaults = asdict(RunConfig())
    for name, value in settings.items():
        if name not in defaults:
            raise DataError(f"{path}: {name!r} is not one of {', '.join(defaults)}")
        # YAML has lists for tuples, and people write 0 for 0.0, and 24 for '24'.
        kind = {tuple: (list,), float: (float, int), str: (str, float, int)}.get(
            type(defaults[name])
        )
        if not isinstance(value, kind or (type(defaults[name]),)):
            raise DataError(f"{path}: {name}: {value!r} is no value for it")
        if isinstance(defaults[name], str):
            settings[name] = str(value)
    return settings


def config_of(folder: Path) -> RunConfig:
    """Return what a run was made with.

    Raises
    ------
    DataError
        The folder, or its `config.yaml`, is missing or wrong.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder")
    settings = read_config(folder / "config.yaml")
    listed = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    return RunConfig(**(settings | listed))


def write_config(path: Path, config: RunConfig) -> None:
    """Write what `read_config` reads; paths are made absolute."""
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
