"""Settings for images as squares: size, interpolation, aspect-ratio handling and bit depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Method: TypeAlias = Literal["area", "bilinear", "linear"]
Fit: TypeAlias = Literal["stretch", "pad", "crop"]

METHODS: tuple[Method, ...] = get_args(Method)
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True)
class Square:
    """Settings for reading images and resizing them to a square.

    Parameters
    ----------
    size : int
        Side length in pixels.
    method : {"area", "bilinear", "linear"}
        Interpolation:

        - area: exact mean over the area that an output pixel covers; partly covered input pixels
          count by the fraction that is covered;
        - bilinear: mean weighted by a triangle two output pixels wide (antialiased, as in Pillow,
          and in TensorFlow with `antialias=True`);
        - linear: interpolation between the four input pixels nearest to the centre of an output
          pixel, as in the 2019 code (OpenCV's default). Downscaling aliases fine detail.
    fit : {"stretch", "pad", "crop"}
        Aspect-ratio handling of images that aren't square:

        - stretch: height and width are scaled separately, which distorts shapes, as in the 2019
          report;
        - pad: the aspect ratio is kept, and the shorter side is padded with black at both ends;
        - crop: the aspect ratio is kept, and both ends of the longer side are cropped.
    bit_depth : int
        Bit depth, from 8 to 16, of 16-bit image files that don't declare it. With 12, the levels
        0 to 4095 become 0 to 255.

    Raises
    ------
    ValueError
        The size isn't positive, `method` or `fit` is unknown, or the bit depth isn't 8 to 16.
    """

    size: int = 224
    method: Method = "area"
    fit: Fit = "stretch"
    bit_depth: int = 16

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        if self.fit not in FITS:
            raise ValueError(f"fit {self.fit!r} is not one of {', '.join(FITS)}")
        if not 8 <= self.bit_depth <= 16:
            raise ValueError(f"bit_depth must be 8 to 16, got {self.bit_depth}")


STANDARD_SQUARE = Square()
