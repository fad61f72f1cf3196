"""Write the heatmaps of a run: raw maps, drawings and their metadata."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from mura_core.files import replacing
from mura_core.heatmaps.drawing import draw, draw_as_in_2019
from mura_core.imaging import Fit, Readers, read_radiograph
from mura_plugins import Explainer

_SCALE_QUANTILE = 0.99
_SCALE_PIXELS = 10_000_000
_OF_IMAGES = ("path", "label", "logit", "probability")
_NAME_BYTES = 160  # longest part of an image's path that its heatmaps' file names repeat


def common_scale(maps: NDArray[np.float32]) -> float:
    """Return the evidence that is drawn in the top colour, one value for all maps.

    It is the 0.99 quantile of the absolute pixel values, estimated from ten million evenly spaced
    pixels if there are more. If that quantile is 0 because hardly any pixel is marked, it is the
    largest absolute value. A scale per image would draw an image without evidence as red as one
    full of it.

    Parameters
    ----------
    maps : ndarray of shape (N, h, w), float32

    Returns
    -------
    float
        0 if every map is empty.
    """
    every = -(-maps.size // _SCALE_PIXELS)
    sizes = np.abs(maps.reshape(-1)[::every])
    return float(np.quantile(sizes, _SCALE_QUANTILE) or max(maps.max(), -maps.min()))


def write_heatmaps(
    folder: Path,
    explainer: Explainer,
    layer: str | None,
    data_folder: Path,
    sample: pd.DataFrame,
    maps: NDArray[np.float32],
    *,
    style: str,
    fit: Fit,
    readers: Readers,
    bit_depth: int = 16,
    scale: float | None = None,
) -> pd.DataFrame:
    """Write the raw map, heatmap, overlay and metadata of each image.

    Parameters
    ----------
    folder : Path
        The run folder. Files are written to `heatmaps/<explainer>/`.
    explainer : Explainer
        The record of the method that computed the maps.
    layer : str or None
        The explained layer; None for methods that explain pixels.
    data_folder : Path
        The folder that the images' paths are relative to.
    sample : DataFrame
        Predictions of the images: `path`, `logit`, `probability` and, if known, `label`.
    maps : ndarray of shape (len(sample), h, w), float32
        The raw maps, in logits.
    style : {"inferno", "report2019"}
        Colours and scale of the drawings.
    fit : {"stretch", "pad", "crop"}
        How the radiographs were fitted to the squares that the maps cover.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    bit_depth : int
        Bit depth of 16-bit images whose files don't declare it.
    scale : float, optional
        The evidence that is drawn in the top colour; by default `common_scale(maps)`. Ignored for
        `report2019`.

    Returns
    -------
    DataFrame
        The rows of `heatmaps.csv`, one per image.
    """
    scale = common_scale(maps) if scale is None else scale
    here = Path("heatmaps") / explainer.name
    (folder / here).mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("mura-run", "keras", "tensorflow")}
    rows = []
    for prediction, evidence_map in zip(sample.to_dict("records"), maps, strict=True):
        # Decode again: the memory map only has the resized image.
        path = data_folder / prediction["path"]
        radiograph = read_radiograph(path, readers=readers, bit_depth=bit_depth)
        peak = float(evidence_map.max())
        if style == "report2019":
            own_scale, drawing = peak, draw_as_in_2019(radiograph, evidence_map, fit)
        else:
            own_scale = scale
            drawing = draw(radiograph, evidence_map, scale, fit, signed=explainer.signed)
        stem = _stem(prediction["path"])
        about = {
            **{name: prediction[name] for name in _OF_IMAGES if name in prediction},
            "explainer": explainer.name,
            "layer": layer,
            "toward": "abnormal",
            "signed": explainer.signed,
            "style": style,
            "scale": own_scale,
            "peak": peak,
            "empty": peak <= 0,
        }
        files = {"map": f"{stem}.npy"} | {
            kind: f"{stem}-{kind}.png" for kind in ("heatmap", "overlay")
        }
        with replacing(folder / here / files["map"], "wb") as file:
            np.save(file, evidence_map)
        for kind in ("heatmap", "overlay"):
            with replacing(folder / here / files[kind], "wb") as file:
                Image.fromarray(getattr(drawing, kind)).save(file, format="PNG")
        with replacing(folder / here / f"{stem}.json") as file:
            json.dump(about | files | {"versions": versions}, file, indent=1)
        rows.append(about | {kind: (here / name).as_posix() for kind, name in files.items()})
    return pd.DataFrame(rows)


def _stem(path: str) -> str:
    """Return a short, readable and unique stem for the file names of an image's heatmaps.

    The digest of the whole path keeps stems unique whose readable parts are equal, such as those
    of `a/hand.png`, `a-hand.png` and `a/hand.jpg`, or of long paths that are cut.
    """
    readable = re.sub(r"[^\w.]+", "-", Path(path).with_suffix("").as_posix())
    end = readable.encode()[-_NAME_BYTES:].decode(errors="ignore").strip("-.")
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()
    return f"{end}-{digest[:8]}"
