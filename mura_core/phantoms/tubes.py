"""Tubes, the solids that phantoms are made of, and their X-ray absorption."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Grey: TypeAlias = NDArray[np.float32]
Window: TypeAlias = tuple[slice, slice]  # rows, columns

# Points are complex numbers, x + iy with y downwards, so that rotation and scaling are one
# multiplication. In anatomies, the unit is the image's longer side and 0 is the image's centre.
# After `placed`, the unit is a pixel and 0 is the upper left corner.


@dataclass(frozen=True)
class Tube:
    """A solid of revolution about a slightly bent axis.

    Attributes
    ----------
    start, end : complex
        End points of the axis.
    shaft, head, foot : float
        Radius in the middle, at the start and at the end.
    bow : float
        Sideways deflection of the axis, as a share of its length.
    cavity : float
        Share of the matter inside the wall that is missing, such as for marrow or air.
    density : float
        Absorption along a ray through the centre of a shaft without cavity.
    """

    start: complex
    end: complex
    shaft: float
    head: float
    foot: float
    bow: float = 0.0
    cavity: float = 0.0
    density: float = 1.0

    @property
    def length(self) -> float:
        """Distance from start to end."""
        return abs(self.end - self.start)

    def at(self, along: float) -> complex:
        """Return the point of the axis at a share of its length, from 0 at the start to 1."""
        return self.start + (self.end - self.start) * complex(
            along, 4 * self.bow * along * (1 - along)
        )

    def placed(self, middle: complex, turn: complex, mirrored: bool = False) -> Tube:
        """Return the tube scaled and rotated about 0, then moved.

        Parameters
        ----------
        middle : complex
            New position of the point 0.
        turn : complex
            Factor for scaling and rotation.
        mirrored : bool
            Whether to mirror the tube left to right first.
        """
        start, end = self.start, self.end
        if mirrored:
            start, end = mirror(start), mirror(end)
        scale = abs(turn)
        return replace(
            self,
            start=middle + turn * start,
            end=middle + turn * end,
            shaft=scale * self.shaft,
            head=scale * self.head,
            foot=scale * self.foot,
            bow=-self.bow if mirrored else self.bow,
        )


def mirror(point: complex) -> complex:
    """Return a point mirrored left to right about 0."""
    return -point.conjugate()


def step(length: float, degrees: float) -> complex:
    """Return a vector of a length and a direction: 0 degrees is down, 90 is right."""
    return complex(length * np.sin(np.radians(degrees)), length * np.cos(np.radians(degrees)))


class LocalCoordinates(NamedTuple):
    """Coordinates relative to a tube's axis, on the part of the image that it can cover.

    Attributes
    ----------
    window : tuple of slice
        The h rows and w columns of this part.
    along : ndarray of shape (h, w), float32
        0 at the tube's start, 1 at its end.
    across : ndarray of shape (h, w), float32
        Distance from the axis in pixels, negative on one side.
    """

    window: Window
    along: Grey
    across: Grey


def local_coordinates(tube: Tube, shape: tuple[int, int]) -> LocalCoordinates:
    """Return the coordinates relative to a tube on an image.

    Parameters
    ----------
    tube : Tube
        In pixels, as returned by `Tube.placed`.
    shape : tuple of int
        (height, width) of the image.
    """
    reach = 2 * max(tube.shaft, tube.head, tube.foot) + abs(tube.bow) * tube.length
    rows = _clipped(tube.start.imag, tube.end.imag, reach, shape[0])
    columns = _clipped(tube.start.real, tube.end.real, reach, shape[1])
    axis = (tube.end - tube.start) / tube.length
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(tube.start.imag)
    x = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(tube.start.real)
    along = x * np.float32(axis.real / tube.length) + y * np.float32(axis.imag / tube.length)
    across = y * np.float32(axis.real) - x * np.float32(axis.imag)
    if tube.bow:
        across -= np.float32(4 * tube.bow * tube.length) * along * (1 - along)
    return LocalCoordinates((rows, columns), along, across)


def _clipped(start: float, end: float, reach: float, size: int) -> slice:
    """Return the slice of an image side from start to end, extended by `reach` on both sides."""
    first, last = int(min(start, end) - reach), int(max(start, end) + reach)
    return slice(min(max(first, 0), size), min(max(last, 0), size))


_PLACES = np.linspace(0, 1, 256)  # positions along the axis; their indices fit into uint8
_FLARE = np.exp(-((_PLACES / 0.2) ** 2))  # weight of an end's radius at each position


def _radius_profile(tube: Tube) -> Grey:
    """Return the radius at 256 positions: wider at head and foot, rounded to 0 at both ends."""
    ends = ((tube.head, _PLACES, _FLARE), (tube.foot, _PLACES[::-1], _FLARE[::-1]))
    radius = np.full(256, tube.shaft)
    for end_radius, _, flare in ends:
        radius += (end_radius - tube.shaft) * flare
    for end_radius, distance, _ in ends:
        radius *= np.sqrt(1 - np.clip(1 - distance * tube.length / end_radius, 0, 1) ** 2)
    return radius.astype(np.float32)


def absorption(tube: Tube, local: LocalCoordinates) -> Grey:
    """Return the absorption of a tube.

    Parameters
    ----------
    tube : Tube
    local : LocalCoordinates
        As returned by `local_coordinates` for this tube.

    Returns
    -------
    ndarray of shape (h, w), float32
    """
    places = np.clip(local.along * 255, 0, 255).astype(np.uint8)
    radius = _radius_profile(tube)
    squared_distance = local.across**2
    half_chord = np.sqrt(np.maximum((radius**2)[places] - squared_distance, 0))
    if tube.cavity:
        # The cortex gets thinner where a bone widens towards its joint.
        wall = np.float32(0.35 * tube.shaft**2) / np.maximum(radius, np.float32(tube.shaft))
        inner_radius = np.maximum(radius - wall, 0)
        inner_half_chord = np.sqrt(np.maximum((inner_radius**2)[places] - squared_distance, 0))
        half_chord -= np.float32(tube.cavity) * inner_half_chord
    return np.asarray(half_chord * np.float32(tube.density / tube.shaft))
