"""Check the methods, images and layer to explain, before the work begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mura_core.errors import DataError, UsageError
from mura_core.pipeline.explainer import CheckedExplainer
from mura_plugins import NotApplicable, PluginError
from mura_plugins.manager import Plugins
from mura_plugins.offers import unusable

if TYPE_CHECKING:
    import keras

    from mura_plugins.network import Network

log = logging.getLogger("mura.plugins")


def explainers_named(plugins: Plugins, names: Sequence[str]) -> list[CheckedExplainer]:
    """Return the explainers with these names, without duplicates.

    Parameters
    ----------
    plugins : Plugins
        The loaded plugins.
    names : sequence of str
        Names of explainers; `all` stands for every one that can be imported.

    Raises
    ------
    PluginError
        If a name is unknown or provided twice, or the explainer's function can't be imported.
    """
    found: dict[str, CheckedExplainer] = {}
    every = dict.fromkeys(offer.record.name for offer in plugins.explainers)
    for name in names:
        for one in every if name == "all" else [name]:
            offer = plugins.explainer_offer(one)
            try:
                found.setdefault(one, CheckedExplainer(offer))
            except PluginError as error:
                if name != "all":
                    raise
                log.warning("%s", unusable("explainer", offer, error))
    return list(found.values())


def images_to_explain(which: str) -> int | list[str] | None:
    """Return the images that `--explain-images` selects: a number, a list of paths, or None.

    Parameters
    ----------
    which : str
        A number above 0, `all`, or the path of a text file with one image path per line.

    Returns
    -------
    int, list of str or None
        None selects all images.

    Raises
    ------
    UsageError
        If it isn't a number above 0, `all` or a readable text file.
    DataError
        If the file lists no image.
    """
    if which == "all":
        return None
    if which.isdecimal() and int(which):
        return int(which)
    try:
        lines = Path(which).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(
            f"--explain-images {which!r} is not a number above 0, 'all' or a file that lists"
            f" images ({reason})"
        ) from None
    paths = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not paths:
        raise DataError(f"{which}: lists no image")
    return paths


def refuse_unknown_images(which: str, known: Collection[str], kind: str = "data's") -> None:
    """Raise a DataError if `--explain-images` lists an unknown image.

    Parameters
    ----------
    which : str
        Value of `--explain-images`.
    known : collection of str
        Paths of the images that can be explained.
    kind : str
        What these images are, for the error message.
    """
    wanted = images_to_explain(which)
    known = set(known)
    for path in wanted if isinstance(wanted, list) else ():
        if path not in known:
            raise DataError(f"{which}: {path} is not one of the {kind} images")


def network_to_explain(model: keras.Model, layer: str) -> Network:
    """Return the view of a model that explainers take.

    Parameters
    ----------
    model : keras.Model
        The trained model.
    layer : str
        Layer whose features methods use; empty for the network's default.

    Raises
    ------
    UsageError
        If the model has no such layer.
    """
    from mura_plugins.network import Network

    try:
        return Network(model, layer or None)
    except NotApplicable as error:
        raise UsageError(f"--layer {layer}: {error}") from None
