"""Heatmaps: chosen images, one scale for all of them, drawn at each image's own size."""

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
_NAME_BYTES = 160  # of an image's path in the names of its heatmaps


def common_scale(maps: NDArray[np.float32]) -> float:
    """Return the evidence drawn as the hottest colour, one for the whole set.

    It is the 0.99 quantile of the maps' pixels, or of ten million of them evenly taken. A scale for
    each image would paint an image without evidence as red as one full of it. Where next to
    nothing is marked and the quantile is 0, it is the maximum; 0 means that every map is empty.
    Evidence against, below 0, counts by its size.
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
    scale: float | None = None,
) -> pd.DataFrame:
    """Write each image's raw map, heatmap, overlay and a JSON, and return rows of `heatmaps.csv`.

    Parameters
    ----------
    folder : Path
        The run folder; the files go to `heatmaps/<explainer>/`.
    explainer : Explainer
    layer : str or None
        That was looked at; None where the method looks at pixels.
    data_folder : Path
        The folder from which the images' paths start.
    sample : DataFrame
        The predictions of the images: `path`, `logit`, `probability` and, where it is known,
        `label`.
    maps : ndarray of shape (len(sample), h, w), float32
    style : {"inferno", "report2019"}
    fit : {"stretch", "pad", "crop"}
        How the images were made squares, which the maps cover.
    readers : mapping
        Functions for further file suffixes.
    scale : float, optional
        The evidence that is drawn as the hottest colour; by default that of `common_scale`.
    """
    scale = common_scale(maps) if scale is None else scale
    here = Path("heatmaps") / explainer.name
    (folder / here).mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("mura-run", "keras", "tensorflow")}
    rows = []
    for prediction, evidence_map in zip(sample.to_dict("records"), maps, strict=True):
        # Drawing is at the radiograph's own size, which the memory map doesn't have.
        radiograph = read_radiograph(data_folder / prediction["path"], readers=readers)
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
    """Return an image's part of its heatmaps' file names: readable, short and its own.

    The digest of the whole path tells apart what the readable part doesn't: `a/hand.png`,
    `a-hand.png` and `a/hand.jpg`, or paths that are cut.
    """
    readable = re.sub(r"[^\w.]+", "-", Path(path).with_suffix("").as_posix())
    end = readable.encode()[-_NAME_BYTES:].decode(errors="ignore").strip("-.")
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()
    return f"{end}-{digest[:8]}"
