"""Name images that are unlike the training images in levels, size, proportions or polarity.

The rules are for a person to look at the image; nothing is changed by them. They are documented in
docs/preprocessing.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from math import log2
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.files import replacing
from mura_core.imaging import ImageTraits

TRAITS = [field.name for field in fields(ImageTraits)]

# Fewer images don't tell what is usual.
_FEWEST = 20
# Tukey's outer fences: values beyond are "far out" (Exploratory Data Analysis, 1977, section 2D).
# Up to a quarter of the images may be odd without moving them far.
_FAR_OUT = 3.0
# Fences are at least this far from the quartiles.
_LEAST_CHROMA = 12.0  # levels of 255
_LEAST_MEAN = 56.0  # levels of 255
_LEAST_SIZE = 2.0  # powers of 2 of the side: a quarter, or four times
_LEAST_PROPORTIONS = 1.0  # powers of 2 of height / width: half, or twice

_LEAST_CONTRAST = 1 / 8  # of the levels
NEARLY_BLACK = "looks nearly black"
DARK_16_BITS = 2**14  # of 65536 levels; images of 16 bits use more, but few of 12 bits do


@dataclass(frozen=True)
class Fences:
    """The range of a quantity of the training images.

    Attributes
    ----------
    low, high : float
        Outer fences: the quartiles, moved out by three times their distance.
    first, last : float
        1st and 99th percentile.
    """

    low: float
    high: float
    first: float
    last: float

    def far(self, value: float) -> int:
        """Return 1 if a value is above the fences, -1 if it is below them, otherwise 0."""
        return int(value > self.high) - int(value < self.low)


@dataclass(frozen=True)
class UsualTraits:
    """What the training images are like.

    Attributes
    ----------
    images : int
        Number of training images.
    mean, chroma : Fences
        Of the mean level and the colourfulness, from 0 to 255.
    size : Fences
        Of the binary logarithm of the side in pixels: the geometric mean of height and width.
    proportions : Fences
        Of the binary logarithm of height / width.
    nearly_black : bool
        Whether most images of 16 bits are nearly black, so that others aren't named for it.
    """

    images: int
    mean: Fences
    chroma: Fences
    size: Fences
    proportions: Fences
    nearly_black: bool


def usual_traits(traits: pd.DataFrame) -> UsualTraits | None:
    """Return what training images are like, or None if they are too few to tell.

    Parameters
    ----------
    traits : DataFrame
        One row per training image, with the columns of `ImageTraits`.
    """
    if len(traits) < _FEWEST:
        return None
    mean, chroma, height, width = (
        traits[name].to_numpy(np.float64) for name in ("mean", "chroma", "height", "width")
    )
    of_16_bits = traits[traits["bits"] == 16]
    return UsualTraits(
        images=len(traits),
        mean=_fences(mean, _LEAST_MEAN),
        chroma=_fences(chroma, _LEAST_CHROMA),
        size=_fences(np.log2(height * width) / 2, _LEAST_SIZE),
        proportions=_fences(np.log2(height / width), _LEAST_PROPORTIONS),
        nearly_black=bool((of_16_bits["brightest"] < DARK_16_BITS).mean() > 0.5),
    )


def unusual_images(
    paths: Sequence[str], traits: pd.DataFrame, usual: UsualTraits | None
) -> pd.DataFrame:
    """Return the images that are unlike the training images.

    Parameters
    ----------
    paths : sequence of str
        The images.
    traits : DataFrame
        Their traits, with the columns of `ImageTraits`.
    usual : UsualTraits, optional
        What the training images are like. Without it, only levels are looked at: whether there are
        enough of them.

    Returns
    -------
    DataFrame
        `path` and `reason`, such as "looks inverted (...)"; several rows for an image that is
        unusual in several ways. Reasons of one kind differ only in the brackets.
    """
    rows = zip(paths, traits[TRAITS].itertuples(index=False, name=None), strict=True)
    found = [(path, reason) for path, row in rows for reason in _reasons(ImageTraits(*row), usual)]
    return pd.DataFrame(found, columns=["path", "reason"])


def write_usual(path: Path, usual: UsualTraits) -> None:
    """Write what training images are like to a JSON file.

    Parameters
    ----------
    path : Path
        The file.
    usual : UsualTraits
    """
    with replacing(path) as file:
        json.dump(asdict(usual), file, indent=1)


def read_usual(path: Path) -> UsualTraits:
    """Return what training images are like, as `write_usual` wrote it.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        The file is missing, or isn't such a file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return UsualTraits(
            images=int(values["images"]),
            mean=Fences(**values["mean"]),
            chroma=Fences(**values["chroma"]),
            size=Fences(**values["size"]),
            proportions=Fences(**values["proportions"]),
            nearly_black=bool(values["nearly_black"]),
        )
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: doesn't describe training images ({error})") from None


def _fences(values: NDArray[np.float64], least: float) -> Fences:
    first, lower, upper, last = np.percentile(values, [1, 25, 75, 99]).tolist()
    out = _FAR_OUT * (upper - lower)
    low = min(lower - least, max(lower - out, first - least / 2))
    high = max(upper + least, min(upper + out, last + least / 2))
    return Fences(low, high, first, last)


def _reasons(image: ImageTraits, usual: UsualTraits | None) -> Iterator[str]:
    for reason in _odd_levels(image):
        if usual is None or not (usual.nearly_black and reason.startswith(NEARLY_BLACK)):
            yield reason
    if usual is not None:
        yield from _far_from_usual(image, usual)


def _odd_levels(image: ImageTraits) -> Iterator[str]:
    full = 2**image.bits - 1
    levels = f"levels {image.darkest} to {image.brightest} of {full}"
    if image.darkest == image.brightest:
        yield f"has a single grey level ({image.darkest} of {full})"
    elif image.bits == 16 and image.brightest < DARK_16_BITS:
        bits = max(8, image.brightest.bit_length())
        yield f"{NEARLY_BLACK} ({levels}: {bits}-bit levels in 16 bits?)"
    elif image.brightest - image.darkest < _LEAST_CONTRAST * full:
        yield f"has hardly any contrast ({levels})"


def _far_from_usual(image: ImageTraits, usual: UsualTraits) -> Iterator[str]:
    most = "98 % of the training images have"
    if (far := usual.mean.far(image.mean)) and image.darkest < image.brightest:
        first, last = usual.mean.first, usual.mean.last
        levels = f"mean level {image.mean:.0f}; {most} {first:.0f} to {last:.0f}"
        if usual.mean.far(255 - image.mean):
            yield f"is much {'brighter' if far > 0 else 'darker'} than usual ({levels})"
        else:
            yield f"looks inverted ({levels})"
    if usual.chroma.far(image.chroma) > 0:
        yield f"looks like a colour photograph (its channels differ by {image.chroma:.0f} levels)"
    pixels = f"{image.width} x {image.height} pixels"
    if far := usual.size.far(log2(image.height * image.width) / 2):
        sides = f"{most} sides of {2**usual.size.first:.0f} to {2**usual.size.last:.0f}"
        yield f"is much {'larger' if far > 0 else 'smaller'} than usual ({pixels}; {sides})"
    if usual.proportions.far(log2(image.height / image.width)):
        yield f"has unusual proportions ({pixels})"
