"""What is asked to be explained: methods, images and a layer, each refused before work begins."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mura_core.errors import DataError, UsageError
from mura_plugins import Explainer, NotApplicable
from mura_plugins.manager import Plugins, resolve

if TYPE_CHECKING:
    import keras

    from mura_plugins.network import Network


def explainers_named(plugins: Plugins, names: Sequence[str]) -> list[Explainer]:
    """Return the explainers of these names, each once; `all` names every one.

    Raises
    ------
    PluginError
        There is no such explainer, or there are two, or its function can't be imported.
    """
    every = [offer.record.name for offer in plugins.explainers]
    wanted = [one for name in names for one in (every if name == "all" else [name])]
    explainers = [plugins.explainer(name) for name in dict.fromkeys(wanted)]
    for explainer in explainers:
        resolve(explainer.explain)
    return explainers


def images_to_explain(which: str) -> int | list[str] | None:
    """Return what `--explain-images` asks for: so many images, these paths, or None for all.

    Raises
    ------
    UsageError
        It is no number above 0, not `all`, and no file that can be read.
    DataError
        The file lists no image.
    """
    if which == "all":
        return None
    if which.isdecimal() and int(which):
        return int(which)
    try:
        lines = Path(which).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"--explain-images {which!r} is no number above 0, not 'all', and no file that lists"
            f" images ({reason})"
        ) from None
    paths = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not paths:
        raise DataError(f"{which}: lists no image")
    return paths


def refuse_unknown_images(which: str, known: Collection[str], kind: str = "data's") -> None:
    """Raise a DataError if `--explain-images` lists an image that isn't one of those known."""
    wanted = images_to_explain(which)
    known = set(known)
    for path in wanted if isinstance(wanted, list) else ():
        if path not in known:
            raise DataError(f"{which}: {path} is not one of the {kind} images")


def network_to_explain(model: keras.Model, layer: str) -> Network:
    """Return a model as explainers see it.

    Parameters
    ----------
    model : keras.Model
    layer : str
        Whose features methods look at; empty for those that the network itself suggests.

    Raises
    ------
    UsageError
        The model has no such layer.
    """
    from mura_plugins.network import Network

    try:
        return Network(model, layer or None)
    except NotApplicable as error:
        raise UsageError(f"--layer {layer}: {error}") from None
