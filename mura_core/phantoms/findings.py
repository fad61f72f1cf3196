"""Findings: each changes the absorption of a bone and has a ground-truth box."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mura_core.phantoms.tubes import Grey, LocalCoordinates, Tube, absorption


class Box(NamedTuple):
    """A box of the pixels with x0 <= x < x1 and y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int


def _box(local: LocalCoordinates, marked: NDArray[np.bool_]) -> Box:
    """Return the bounding box of the marked pixels of a tube's window."""
    top, left = (side.start for side in local.window)
    rows, columns = np.nonzero(marked)
    return Box(
        int(left + columns.min()),
        int(top + rows.min()),
        int(left + columns.max() + 1),
        int(top + rows.max() + 1),
    )


def _break(rng: Generator, bone: Tube, local: LocalCoordinates, at: float) -> tuple[Grey, Box]:
    """Break the bone: a jagged dark gap and a displaced fragment."""
    push = bone.shaft * rng.uniform(0.4, 1.5) * rng.choice([-1, 1])
    return _displaced(rng, bone, local, at, push)


def _displaced(
    rng: Generator, bone: Tube, local: LocalCoordinates, at: float, push: float
) -> tuple[Grey, Box]:
    """Break the bone and displace the distal fragment sideways by `push` pixels."""
    slant = rng.uniform(-0.7, 0.7)
    half_gap = bone.shaft * rng.uniform(0.25, 0.7)
    jag = 0.15 * bone.shaft * np.sin(3 / bone.shaft * local.across)
    beyond = (local.along - at) * bone.length - slant * local.across - jag  # pixels past the break
    # The distal fragment is displaced at the break, but not at its joint.
    aside = np.where(beyond > 0, push * (1 - local.along) / (1 - at), 0).astype(np.float32)
    broken = absorption(bone, local._replace(across=local.across - aside))
    broken[np.abs(beyond) < half_gap] = 0
    ends = (np.abs(beyond) < half_gap + 0.6 * bone.shaft) & (broken > 0.1)
    return broken - absorption(bone, local), _box(local, ends)


def _lesion(rng: Generator, bone: Tube, local: LocalCoordinates, at: float) -> tuple[Grey, Box]:
    """Dissolve a round part of the bone."""
    size = bone.shaft * rng.uniform(0.9, 2.0)
    aside = bone.shaft * rng.uniform(-0.4, 0.4)
    along = (local.along - at) * bone.length
    squared = (along / (1.3 * size)) ** 2 + ((local.across - aside) / size) ** 2
    blob = np.exp(-(squared**3)).astype(np.float32)
    healthy = absorption(bone, local)
    return -0.95 * blob * healthy, _box(local, (blob > 0.3) & (healthy > 0))


def _metal(rng: Generator, bone: Tube, local: LocalCoordinates, at: float) -> tuple[Grey, Box]:
    """Add a metal plate with screws over a break without displacement."""
    change, _ = _displaced(rng, bone, local, at, push=0.0)
    half_length = bone.shaft * rng.uniform(3.5, 5.5)
    side = rng.choice([-1, 1])
    along = (local.along - at) * bone.length
    across = np.abs(local.across - side * 0.8 * bone.shaft)
    metal = (np.abs(along) < half_length) & (across < 0.35 * bone.shaft)
    for screw in np.array([-0.85, -0.6, -0.35, 0.35, 0.6, 0.85]) * half_length:
        thread = np.abs(along - screw) < max(0.18 * bone.shaft, 0.9)
        metal |= thread & (np.abs(local.across) < 1.3 * bone.shaft)
    return np.where(metal, np.float32(2), change), _box(local, metal)


FINDINGS: dict[str, Callable[[Generator, Tube, LocalCoordinates, float], tuple[Grey, Box]]] = {
    "break": _break,
    "lesion": _lesion,
    "metal": _metal,
}
