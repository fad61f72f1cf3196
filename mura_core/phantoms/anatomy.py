"""The five body parts, made of tubes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from mura_core.phantoms.tubes import Tube, step


class Anatomy(NamedTuple):
    """The solids of a body part.

    Attributes
    ----------
    soft : list of Tube
        Soft tissue.
    sites : list of Tube
        Bones that can have a finding.
    other_bones : list of Tube
    """

    soft: list[Tube]
    sites: list[Tube]
    other_bones: list[Tube]

    def placed(self, middle: complex, turn: complex, mirrored: bool = False) -> Anatomy:
        """Return the anatomy with every tube moved, see `Tube.placed`."""
        return Anatomy(*([tube.placed(middle, turn, mirrored) for tube in kind] for kind in self))


def _bone(
    start: complex,
    end: complex,
    radii: tuple[float, float, float],
    bow: float = 0.0,
    density: float = 0.9,
) -> Tube:
    """Return a bone with the given radii of shaft, head and foot."""
    return Tube(start, end, *radii, bow, cavity=0.75, density=density)


def _flesh(start: complex, end: complex, head: float, foot: float) -> Tube:
    """Return the soft tissue of a limb."""
    return Tube(start, end, (head + foot) / 2, head, foot, density=0.3)


def _humerus(rng: Generator) -> Anatomy:
    girth, bow = rng.uniform(0.9, 1.15), rng.uniform(-0.02, 0.02)
    soft = [
        _flesh(-0.75j, 0.05j, 0.19 * girth, 0.15 * girth),
        _flesh(-0.1j, 0.75j, 0.15 * girth, 0.12 * girth),
        _flesh(-0.45 - 0.5j, 0.02 - 0.3j, 0.2, 0.15),
    ]
    humerus = _bone(-0.34j, 0.33j, (0.034 * girth, 0.07, 0.06), bow)
    clavicle = _bone(-0.5 - 0.5j, -0.02 - 0.42j, (0.02, 0.02, 0.03), -0.06)
    scapula = _bone(-0.1 - 0.36j, -0.14 - 0.1j, (0.03, 0.05, 0.02), density=0.6)
    ulna = _bone(-0.03 + 0.34j, -0.05 + 0.8j, (0.026, 0.04, 0.03))
    radius = _bone(0.03 + 0.37j, 0.06 + 0.8j, (0.022, 0.03, 0.03))
    return Anatomy(soft, [humerus], [clavicle, scapula, ulna, radius])


def _elbow(rng: Generator) -> Anatomy:
    flexion, girth = rng.uniform(0, 40), rng.uniform(0.9, 1.15)

    def forearm(aside: float, along: float) -> complex:
        return step(along, flexion) + step(aside, flexion + 90)

    soft = [
        _flesh(-1.1j, 0.08j, 0.17 * girth, 0.12 * girth),
        _flesh(forearm(0, -0.08), forearm(0, 1.1), 0.13 * girth, 0.1 * girth),
    ]
    humerus = _bone(0.02j, -1j, (0.04 * girth, 0.085, 0.06), rng.uniform(-0.02, 0.02))
    ulna = _bone(forearm(-0.03, -0.03), forearm(-0.05, 1.0), (0.032 * girth, 0.055, 0.03), bow=0.02)
    radius = _bone(
        forearm(0.045, 0.05), forearm(0.06, 1.0), (0.028 * girth, 0.042, 0.04), bow=-0.03
    )
    return Anatomy(soft, [humerus, ulna], [radius])


class Skeleton(NamedTuple):
    """A hand and forearm."""

    soft: list[Tube]
    forearm: list[Tube]
    carpals: list[Tube]
    metacarpals: list[Tube]
    phalanges: list[Tube]


# For each finger, thumb first: angle in degrees, distance of its joint from the middle of the
# wrist, lengths of the metacarpal and the phalanges.
_FINGERS = (
    (142, 0.045, (0.09, 0.07, 0.05)),
    (172, 0.030, (0.14, 0.085, 0.05, 0.035)),
    (181, 0.005, (0.135, 0.095, 0.06, 0.04)),
    (190, -0.020, (0.125, 0.09, 0.055, 0.035)),
    (200, -0.042, (0.115, 0.07, 0.04, 0.033)),
)


def _forearm_and_hand(rng: Generator) -> Skeleton:
    spread, girth = rng.uniform(0.8, 1.3), rng.uniform(0.9, 1.15)
    wrist = 0.16j
    soft = [
        _flesh(wrist - 0.12j, 0.75j, 0.07 * girth, 0.085 * girth),
        _flesh(wrist - 0.19j, wrist + 0.02j, 0.11 * girth, 0.09 * girth),
    ]
    forearm = [
        _bone(wrist + 0.015 + 0.035j, 0.05 + 0.8j, (0.024 * girth, 0.04, 0.02), 0.02),
        _bone(wrist - 0.045 + 0.045j, -0.05 + 0.8j, (0.019 * girth, 0.024, 0.02), -0.01),
    ]
    carpals: list[Tube] = []
    metacarpals: list[Tube] = []
    phalanges: list[Tube] = []
    for row in (0.0, 0.04):
        for column in (-1.5, -0.5, 0.5, 1.5):
            middle = wrist + complex(0.028 * column, -row - rng.uniform(0, 0.008))
            half = step(0.02, rng.uniform(-50, 50))
            radius = rng.uniform(0.014, 0.018)
            carpals.append(_bone(middle - half, middle + half, (radius,) * 3, density=0.7))
    for rest_angle, aside, lengths in _FINGERS:
        is_thumb = len(lengths) == 3
        angle = 180 + (rest_angle - 180) * spread + rng.normal(0, 2)
        joint = wrist + aside - (0.013j if is_thumb else 0.065j)
        knuckle, tip = (joint + step(reach, angle) for reach in (lengths[0], sum(lengths) + 0.04))
        soft.append(_flesh(knuckle - step(0.05, angle), tip, 0.036 * girth, 0.022 * girth))
        for order, length in enumerate(lengths):
            shaft = (0.0145, 0.0125, 0.0105, 0.008)[order] * girth
            end = joint + step(length, angle)
            bones = phalanges if order > 0 else metacarpals
            bones.append(_bone(joint, end, (shaft, 1.5 * shaft, 1.4 * shaft)))
            joint = end + step(0.008, angle)
    return Skeleton(soft, forearm, carpals, metacarpals, phalanges)


def _hand(rng: Generator) -> Anatomy:
    soft, forearm, carpals, metacarpals, phalanges = _forearm_and_hand(rng)
    outer, middle = metacarpals[::4], metacarpals[1:4]
    return Anatomy(soft, middle, forearm + carpals + outer + phalanges).placed(0.03j, 2.0)


def _wrist(rng: Generator) -> Anatomy:
    soft, forearm, carpals, metacarpals, phalanges = _forearm_and_hand(rng)
    return Anatomy(soft, forearm, carpals + metacarpals + phalanges).placed(-0.4j, 1.8)


def _shoulder(rng: Generator) -> Anatomy:
    abduction = rng.uniform(5, 25)
    joint = 0.14 - 0.14j
    chest = Tube(-0.42 - 0.5j, -0.42 + 0.9j, 0.38, 0.2, 0.42, cavity=0.75, density=0.7)
    soft = [
        chest,
        _flesh(-0.4 - 0.35j, joint - 0.02, 0.16, 0.15),
        _flesh(joint - 0.05j, joint + step(1.2, abduction), 0.15, 0.12),
    ]
    humerus = _bone(
        joint + step(-0.05, abduction), joint + step(1.1, abduction), (0.04, 0.085, 0.05)
    )
    clavicle = _bone(-0.45 - 0.2j, joint - 0.02 - 0.12j, (0.022, 0.03, 0.024), 0.05)
    glenoid = _bone(joint - 0.1 - 0.03j, joint - 0.13 + 0.12j, (0.022, 0.03, 0.025))
    scapula = [
        _bone(joint - 0.12 - 0.02j, joint - 0.22 + 0.42j, (0.03, 0.05, 0.015), -0.05, density=0.6),
        _bone(joint - 0.02 - 0.13j, joint - 0.3 - 0.02j, (0.016, 0.03, 0.012), 0.03, density=0.7),
    ]
    ribs = [
        _bone(-0.7 + (y - 0.12) * 1j, -0.11 + 0.1 * y + (y + 0.06) * 1j, (0.016,) * 3, -0.12, 0.4)
        for y in np.arange(-0.2, 0.5, 0.1).tolist()
    ]
    return Anatomy(soft, [humerus], [clavicle, glenoid, *scapula, *ribs])


ANATOMIES: dict[str, Callable[[Generator], Anatomy]] = {
    "XR_ELBOW": _elbow,
    "XR_HAND": _hand,
    "XR_HUMERUS": _humerus,
    "XR_SHOULDER": _shoulder,
    "XR_WRIST": _wrist,
}
