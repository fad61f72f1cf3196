"""The square that every image becomes: its side, interpolation and aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Method: TypeAlias = Literal["area", "bilinear", "linear"]
Fit: TypeAlias = Literal["stretch", "pad", "crop"]

METHODS: tuple[Method, ...] = get_args(Method)
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True)
class Square:
    """The size and shape of prepared images.

    Parameters
    ----------
    size : int
        Side, in pixels.
    method : {"area", "bilinear", "linear"}
        Interpolation of a new pixel from old ones:

        - area: the exact mean over the part of the image that it covers; an old pixel at the edge
          counts by the share that is covered;
        - bilinear: a mean weighted by a triangle as wide as two new pixels (antialiased, like
          Pillow's, and TensorFlow's with `antialias=True`);
        - linear: interpolated between the four old pixels nearest to its centre, as in the 2019
          code (OpenCV's default). Fine detail aliases when an image shrinks.
    fit : {"stretch", "pad", "crop"}
        How an image that isn't square is made so:

        - stretch: height and width are scaled separately, which distorts shapes, as in the 2019
          report;
        - pad: shapes are kept, the longer side fits, and black is added on both sides of the other;
        - crop: shapes are kept, and the ends of the longer side are cut off.
    """

    size: int = 224
    method: Method = "area"
    fit: Fit = "stretch"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a square of {self.size} pixels")
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        if self.fit not in FITS:
            raise ValueError(f"fit {self.fit!r} is not one of {', '.join(FITS)}")


STANDARD_SQUARE = Square()
