"""Frozen records that plugins return. They refer to their functions by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained.

    Parameters
    ----------
    name : str
        Name for `--model`. A name that ends in `*` is a family: the user's text in place of the
        star also replaces the star at the end of `build`.
    build : str
        `"package.module:function"`. The function takes the input shape (H, W, 1), then options
        as keyword arguments with types and defaults, and returns an uncompiled `keras.Model`
        from standardised images (N, H, W, 1) float32 to logits for 'abnormal' (N, 1) float32.
    summary : str
        One line, shown by `mura-run plugins`.
    reference : str
        The paper or report that describes the network.
    input_size : int
        Side of the square input in pixels, as in the reference. Used if `--size` isn't given.
    weights : str
        The pretrained weights for `--weights` and how to get them, shown by `mura-run plugins`;
        empty if there are none. The builder receives the user's choice as its option `weights`.
    """

    name: str
    build: str
    summary: str
    reference: str
    input_size: int = 224
    weights: str = ""


@dataclass(frozen=True)
class Explainer:
    """A method that maps a network's evidence onto the image.

    Parameters
    ----------
    name : str
        Name for `--explain`.
    explain : str
        `"package.module:function"` of a function
        `explain(network, images, *, toward, seed) -> ndarray (N, h, w) float32`, where
        `network` is a `mura_plugins.network.Network` and `images` are its inputs (N, H, W),
        uint8 or float32.
        It returns raw evidence, in the logit's units, for 'abnormal' (`toward=1`) or for
        'normal' (`toward=-1`), at the method's own resolution. The result for an image must not
        depend on the other images of the batch, and the network must not be changed. The core does
        the upsampling, scaling and colouring.
    summary : str
        One line, shown by `mura-run plugins`.
    reference : str
        The paper that describes the method.
    signed : bool
        Whether maps can have negative values, for evidence against.
    stochastic : bool
        Whether the result depends on `seed`.
    """

    name: str
    explain: str
    summary: str
    reference: str
    signed: bool = False
    stochastic: bool = False


@dataclass(frozen=True)
class Reader:
    """A reader for an image file format that the core doesn't support.

    Parameters
    ----------
    name : str
        Name shown by `mura-run plugins`.
    suffixes : tuple of str
        File name endings in lower case, such as `(".dcm",)`, that neither mura-run nor another
        plugin reads.
    read : str
        `"package.module:function"` of a function that takes a `pathlib.Path` and returns a grey
        image, an ndarray of shape (H, W), uint8 or uint16. Black is 0 and white is 255 or 65535,
        whatever the bit depth of the file. If the function has a keyword argument `window`, it
        receives the value of `--window` where the user gives one: the centre and the width, float.
        If it raises an exception, the file is left out and the exception is reported with it.
    summary : str
        One line, shown by `mura-run plugins`.
    signatures : tuple of (int, bytes)
        Offsets and the bytes there, such as `((128, b"DICM"),)`, by which files with other names
        are recognised.
    """

    name: str
    suffixes: tuple[str, ...]
    read: str
    summary: str
    signatures: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Layout:
    """A layout of data sets: how files and folders say what each image shows.

    Parameters
    ----------
    name : str
        Name shown by `mura-run plugins`.
    recognise : str
        `"package.module:function"` of a function `recognise(data, options) -> bool`, where `data`
        is the `pathlib.Path` of an existing file or folder, and `options` are `LayoutOptions`:
        whether the data is in this layout. Layouts of other packages are asked before the built-in
        ones.
    read : str
        `"package.module:function"` of a function `read(data, options) -> LabelledImages`.
        For data that the user must correct, it raises a `MuraError` with a one-line message that
        names the file.
    summary : str
        One line, shown by `mura-run plugins`.
    """

    name: str
    recognise: str
    read: str
    summary: str


@dataclass(frozen=True)
class LayoutOptions:
    """What the user said about a data set.

    Parameters
    ----------
    suffixes : frozenset of str
        The file name endings of images that can be read, in lower case, such as ".png".
    columns : mapping of str to str
        The columns of the user's CSV, by what they hold, such as `{"path": "filename"}`.
    positive : tuple of str
        The labels that mean abnormal.
    allow_outside : bool
        Whether images may lie outside the data folder.
    signatures : frozenset of (int, bytes)
        Offsets and the bytes there, by which files with other endings are images.
    """

    suffixes: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    allow_outside: bool = False
    signatures: frozenset[tuple[int, bytes]] = frozenset()


class LabelledImage(NamedTuple):
    """An image, and what a data set says about it.

    Parameters
    ----------
    path : str
        The file, relative to the data set's folder, with forward slashes.
    body_part : str
        Name of the body part.
    patient : str
        One person, also if their images are of several body parts.
    study : str
        Unique within a patient and body part.
    label : int
        1 abnormal, 0 normal.
    split : str
        `train`, `valid` or `test`; empty for all images if the data names no split.
    """

    path: str
    body_part: str
    patient: str
    study: str
    label: int
    split: str = ""


@dataclass(frozen=True)
class LabelledImages:
    """The images of a data set, as a layout reads them.

    Parameters
    ----------
    folder : Path
        The folder that the paths are relative to.
    images : sequence of LabelledImage
        One for each image.
    notes : tuple of str
        Sentences for the user, such as what was assumed.
    annotations : Path or None
        JSON file in COCO's format with the boxes of findings, if there is one.
    """

    folder: Path
    images: Sequence[LabelledImage]
    notes: tuple[str, ...] = ()
    annotations: Path | None = None


@dataclass(frozen=True)
class RunSummary:
    """A finished run.

    Parameters
    ----------
    folder : Path
        The run folder.
    model : str
        Name of the architecture.
    metrics : mapping
        Contents of `metrics.json`.
    """

    folder: Path
    model: str
    metrics: Mapping[str, object] = field(default_factory=dict)
