"""Acquisition settings of a radiograph: size, pose, exposure and burnt-in letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from mura_core.phantoms.tubes import Tube, Window, mirror

# All lengths are in pixels of the image.


class Letters(NamedTuple):
    """Text burnt into an image.

    Attributes
    ----------
    text : str
    size : int
        Font size.
    right, down : float
        Position of the text, from 0 at the left or upper edge of the image to 1 at the opposite
        edge.
    """

    text: str
    size: int
    right: float
    down: float


@dataclass(frozen=True)
class Technique:
    """Acquisition settings of an image.

    Attributes
    ----------
    mode : str
        Pillow's mode of the image, "L" or "RGB".
    height, width : int
        Size of the image.
    middle, turn, mirrored
        Position, scale and rotation of the anatomy, see `Tube.placed`.
    open_field : tuple of slice
        Rows and columns inside the collimator's field.
    white_percentile : float
        Percentile of the exposure that becomes white.
    gamma : float
        Exponent of the grey levels.
    haze : float
        Grey level of unexposed pixels inside the field, from 0 to 1.
    grain : float
        Standard deviation of the noise.
    trinket : Tube or None
        A ring or a lead disc.
    letters : list of Letters
    """

    mode: str
    height: int
    width: int
    middle: complex
    turn: complex
    mirrored: bool
    open_field: Window
    white_percentile: float
    gamma: float
    haze: float
    grain: float
    trinket: Tube | None
    letters: list[Letters]


def choose_technique(rng: Generator, complaint: complex) -> Technique:
    """Return random acquisition settings for an image.

    Parameters
    ----------
    rng : Generator
    complaint : complex
        The painful place, in the coordinates of the anatomy. Images are centred near it.
    """
    longer = int(rng.integers(220, 361))
    shorter = int(longer * rng.uniform(0.7, 1.0))
    height, width = (longer, shorter) if rng.random() < 0.8 else (shorter, longer)
    turn = complex(longer * rng.uniform(0.95, 1.1) * np.exp(1j * np.radians(rng.normal(0, 5))))
    mirrored = bool(rng.random() < 0.5)
    # Images are centred near the painful place, but not exactly on it.
    aim = 0.7 * turn * (mirror(complaint) if mirrored else complaint)
    aim += longer * complex(rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04))
    top, bottom, left, right = rng.uniform(0, 0.09, size=4) * (rng.random() < 0.4)
    return Technique(
        mode="RGB" if rng.random() < 0.3 else "L",
        height=height,
        width=width,
        middle=complex(width, height) / 2 - aim,
        turn=turn,
        mirrored=mirrored,
        open_field=(
            slice(int(top * height), height - int(bottom * height)),
            slice(int(left * width), width - int(right * width)),
        ),
        white_percentile=rng.uniform(98, 99.7),
        gamma=rng.uniform(0.9, 1.2),
        haze=rng.uniform(0.02, 0.1),
        grain=rng.uniform(0.008, 0.025),
        trinket=_trinket(rng, height, width) if rng.random() < 0.15 else None,
        letters=_letters(rng),
    )


def _trinket(rng: Generator, height: int, width: int) -> Tube:
    spot = complex(rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height)
    radius = max(height, width) * rng.uniform(0.02, 0.04)
    is_ring = float(rng.integers(2))
    return Tube(spot - radius, spot + radius, radius, radius, radius, cavity=is_ring)


def _letters(rng: Generator) -> list[Letters]:
    def near_an_edge() -> float:
        distance = float(rng.uniform(0.02, 0.25))
        return distance if rng.random() < 0.5 else 1 - distance

    letters = []
    if rng.random() < 0.75:
        side = str(rng.choice(["L", "R"]))
        letters.append(Letters(side, int(rng.integers(18, 31)), near_an_edge(), near_an_edge()))
    if rng.random() < 0.35:
        day, month, year = rng.integers([1, 1, 2001], [29, 13, 2013])
        date = f"{day:02d}-{month:02d}-{year}"
        letters.append(Letters(date, int(rng.integers(11, 15)), near_an_edge(), near_an_edge()))
    return letters
