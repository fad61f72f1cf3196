"""Fast and strict PNG reader for the formats common in radiograph data sets.

The whole file is validated: each chunk's length and CRC, the checksum of the image data, every row,
and that nothing follows the IEND chunk (PNG specification, third edition, 2025). Non-interlaced
8-bit greyscale and truecolour, with or without alpha, and 16-bit greyscale are decoded the fastest
way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import ImageFileError, PngError
from mura_core.imaging.cpu import instructions
from mura_core.imaging.levels import Chroma, Samples, luma, spanning
from mura_core.imaging.limits import refuse_large
from mura_core.imaging.orientation import upright
from mura_core.imaging.png import extensions
from mura_core.imaging.png.inflate import Buffer, InflateError, adler32, inflate
from mura_core.imaging.png.metadata import NOTHING, declared_depth, read_metadata
from mura_core.imaging.png.pure_chunks import PALETTE

# By colour type: greyscale, truecolour, palette, greyscale with alpha, truecolour with alpha.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# The seven passes of Adam7 interlacing: first row and column, row step and column step.
_PASSES = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
_DEFLATE_MAX_RATIO = 1032  # maximum compression factor (zlib's technical notes)


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: int

    @property
    def is_simple(self) -> bool:
        is_grey_16 = self.depth == 16 and self.colour_type == 0
        is_8 = self.depth == 8 and self.colour_type != PALETTE
        return not self.interlaced and (is_grey_16 or is_8)

    @property
    def bits_a_pixel(self) -> int:
        return _CHANNELS[self.colour_type] * self.depth

    def passes(self) -> list[tuple[int, int]]:
        """Return the number of rows, and of bytes per row with its filter byte, of each pass."""
        bits = self.bits_a_pixel
        return [
            (
                -((row - self.height) // down),
                1 + (-((column - self.width) // across) * bits + 7) // 8,
            )
            for row, column, down, across in self.places()
        ]

    def places(self) -> list[tuple[int, int, int, int]]:
        """Return the first row and column, the row step and the column step of each pass."""
        if not self.interlaced:
            return [(0, 0, 1, 1)]
        return [place for place in _PASSES if place[0] < self.height and place[1] < self.width]


def read_png(
    content: bytes, max_pixels: int, bit_depth: int = 16, chroma: Chroma | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return a PNG file's pixels as a greyscale image, upright.

    Colour is converted to grey with Pillow's weights, and alpha is dropped.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_pixels : int
        Maximum number of pixels. Larger images are rejected before memory is allocated.
    bit_depth : int
        Bit depth of 16-bit samples, if the file doesn't declare it by an sBIT chunk.
    chroma : Chroma, optional
        Measures the colours, unless they are of a palette.

    Returns
    -------
    ndarray of shape (H, W), uint8 or, if samples have 16 bits, uint16

    Raises
    ------
    PngError
        The file is damaged, truncated or too large, or has data after its end.
    ImageFileError
        The file is an animation, or its samples have more bits than `bit_depth`.
    """
    fields, data, data_at, is_plain = extensions.chunks.parse(content)
    header = _Header(*fields)
    refuse_large(header.width, header.height, max_pixels)
    passes = header.passes()
    size = sum(count * row_bytes for count, row_bytes in passes)
    if size > _DEFLATE_MAX_RATIO * len(data):
        raise PngError(data_at, f"{len(data)} bytes can't inflate to {size} bytes of image data")
    try:
        rows = inflate(data, size)
    except InflateError:
        raise PngError(data_at, "the image data is corrupt or too long") from None
    if len(rows) != size:
        raise PngError(data_at, f"not enough image data: {len(rows)} of {size} bytes")
    # If other bytes follow the zlib stream, the last four aren't its Adler-32 checksum.
    if data[-4:] != struct.pack(">I", adler32(rows)):
        raise PngError(data_at, "extra bytes after the compressed image data")
    start = 0
    for count, row_bytes in passes:
        bad_row = extensions.rows.first_bad_filter(rows, start, count, row_bytes)
        if bad_row >= 0:
            raise PngError(data_at, f"row {bad_row} has an unknown filter type")
        start += count * row_bytes
    if header.is_simple and is_plain:
        grey = _grey(rows, header, chroma)
        return grey if header.depth == 8 or bit_depth == 16 else spanning(grey, bit_depth)
    about = NOTHING if is_plain else read_metadata(content)
    if about.images > 1:
        raise ImageFileError(f"contains {about.images} images; save each in a separate file")
    channels = np.dstack(list(_channels(rows, header)))
    if header.colour_type == PALETTE:
        return upright(_by_palette(channels[..., 0], about.palette), about.orientation)
    depth = declared_depth(channels, header.depth, about.significant_bits)
    levels = spanning(channels, depth or (bit_depth if header.depth == 16 else header.depth))
    grey = luma(levels, chroma) if levels.shape[2] == 3 else levels[..., 0]
    return upright(grey, about.orientation)


def _grey(rows: Buffer, header: _Header, chroma: Chroma | None) -> Samples:
    shape = (header.height, header.width)
    pixel_bytes, best = header.bits_a_pixel // 8, instructions()

    def plane(channel: int) -> NDArray[np.uint8]:
        undone = np.empty(shape, np.uint8)
        extensions.rows.undo_filters(rows, pixel_bytes, channel, undone, best)
        return undone

    if header.depth == 16:
        return plane(0).astype(np.uint16) << np.uint16(8) | plane(1)
    is_colour = header.colour_type in (2, 6)
    if not is_colour or extensions.rows.channels_are_equal(rows, *shape, pixel_bytes, best):
        return plane(0)
    grey = np.empty(shape, np.uint8)
    red, green, blue = plane(0), plane(1), plane(2)
    if chroma is not None:
        chroma.measure(red, green, blue)
    extensions.rows.add_luma(red, green, blue, grey)
    return grey


def _channels(rows: Buffer, header: _Header) -> Iterator[Samples]:
    """Yield the samples (H, W) of each channel but alpha, as stored."""
    for channel in range(3 if header.colour_type in (2, 6) else 1):
        whole: Samples = np.empty(
            (header.height, header.width), np.uint16 if header.depth == 16 else np.uint8
        )
        start = 0
        for (count, row_bytes), (row, column, down, across) in zip(
            header.passes(), header.places(), strict=True
        ):
            part = memoryview(rows)[start : start + count * row_bytes]
            there = whole[row::down, column::across]
            there[:] = _samples(part, count, row_bytes - 1, header, channel)[:, : there.shape[1]]
            start += count * row_bytes
        yield whole


def _samples(rows: Buffer, count: int, row_bytes: int, header: _Header, channel: int) -> Samples:
    """Return a channel's samples; rows of less than a byte a sample may have some at their end."""
    pixel_bytes = max(1, header.bits_a_pixel // 8)

    def plane(byte: int) -> NDArray[np.uint8]:
        undone = np.empty((count, row_bytes // pixel_bytes), np.uint8)
        extensions.rows.undo_filters(rows, pixel_bytes, byte, undone, instructions())
        return undone

    if header.depth == 16:
        high, low = plane(2 * channel), plane(2 * channel + 1)
        return high.astype(np.uint16) << np.uint16(8) | low
    if header.depth == 8:
        return plane(channel)
    shifts = np.arange(8 - header.depth, -1, -header.depth, dtype=np.uint8)
    spread = plane(0)[..., None] >> shifts & np.uint8(2**header.depth - 1)
    return spread.reshape(count, -1)


def _by_palette(indices: Samples, palette: bytes) -> NDArray[np.uint8]:
    colours = np.frombuffer(palette, np.uint8).reshape(1, -1, 3)
    if indices.max() >= colours.shape[1]:
        raise ImageFileError(
            f"is damaged: its palette has {colours.shape[1]} colours, not {int(indices.max()) + 1}"
        )
    return luma(colours)[0][indices]
