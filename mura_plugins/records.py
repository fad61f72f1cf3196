"""What plugins hand over: small frozen records that name their functions by string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained.

    Parameters
    ----------
    name : str
        As in `--model NAME`. One that ends in `*` is a family: what a user writes in place of the
        star stands in place of the star that `build` ends in, too.
    build : str
        `"package.module:function"`. The function takes the input shape (H, W, 1), then options
        as keyword arguments with types and defaults, and returns an uncompiled `keras.Model`
        from standardised images (N, H, W, 1) float32 to logits for 'abnormal' (N, 1) float32.
    summary : str
        One line for `mura-run plugins`.
    reference : str
        The paper or report that describes the network.
    input_size : int
        The side of the square, in pixels, that the network was described for.
    weights : str
        Which weights `--weights` can start from, and how they are had, for `mura-run plugins`;
        empty where there are none. The builder takes them as its option `weights`.
    """

    name: str
    build: str
    summary: str
    reference: str
    input_size: int = 224
    weights: str = ""


@dataclass(frozen=True)
class Explainer:
    """A method that says where in an image a network found its evidence.

    Parameters
    ----------
    name : str
        As in `--explain NAME`.
    explain : str
        `"package.module:function"` of a function
        `explain(network, images, *, toward, seed) -> ndarray (N, h, w) float32`, where
        `network` is a `mura_plugins.network.Network` and `images` are its inputs (N, H, W),
        uint8 or float32.
        It returns raw evidence, in the logit's units, for 'abnormal' (`toward=1`) or for
        'normal' (`toward=-1`), at the method's own resolution; a batch gives what its images
        give one by one, and the network isn't changed. Scale, size and colour are the core's.
    summary : str
        One line for `mura-run plugins`.
    reference : str
        The paper that describes the method.
    signed : bool
        Whether values below zero are evidence against.
    stochastic : bool
        Whether `seed` matters.
    """

    name: str
    explain: str
    summary: str
    reference: str
    signed: bool = False
    stochastic: bool = False


@dataclass(frozen=True)
class Reader:
    """A function for image files that the core can't read.

    Parameters
    ----------
    name : str
        As in `mura-run plugins`.
    suffixes : tuple of str
        File name endings, such as `(".dcm",)`, that neither mura-run nor another plugin reads.
    read : str
        `"package.module:function"` of a function from a `pathlib.Path` to a grey image, an
        ndarray of shape (H, W), uint8 or uint16. What it raises is reported with the file, and
        the file is left out.
    summary : str
        One line for `mura-run plugins`.
    """

    name: str
    suffixes: tuple[str, ...]
    read: str
    summary: str


@dataclass(frozen=True)
class RunSummary:
    """A finished run: its folder, its model's name, and the contents of `metrics.json`."""

    folder: Path
    model: str
    metrics: Mapping[str, object] = field(default_factory=dict)
