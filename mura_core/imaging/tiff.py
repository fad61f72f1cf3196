"""Strict TIFF reader for greyscale, colour and palette images of 1 to 16 bits (TIFF 6.0, BigTIFF).

libtiff isn't used: it writes errors to the console from C, for the whole process, and what is
missing from a damaged file comes out black. Every strip and tile must be within the file and whole.
"""

from __future__ import annotations

import numpy as np

from mura_core.errors import ImageFileError
from mura_core.imaging.levels import Chroma, Samples, luma, luma_of_inks, spanning
from mura_core.imaging.orientation import ORIENTATION, declared_orientation, upright
from mura_core.imaging.tiff_blocks import COMPRESSIONS, JPEG, Layout, samples_of
from mura_core.imaging.tiff_directory import Directory, count_directories, read_directory

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _MAX_SAMPLE = 273, 277, 278, 279, 281
_PLANAR, _PREDICTOR, _COLOUR_MAP = 284, 317, 320
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_SAMPLE_FORMAT, _JPEG_TABLES, _SUBSAMPLING, _XMP = 339, 347, 530, 700
_TAGS = frozenset([
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, ORIENTATION,
    _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _MAX_SAMPLE, _PLANAR, _PREDICTOR,
    _COLOUR_MAP, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT,
    _JPEG_TABLES, _SUBSAMPLING, _XMP,
])  # fmt: skip

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
_MOST_SAMPLES = 8  # per pixel


def read_tiff(
    content: bytes, max_pixels: int, bit_depth: int = 16, chroma: Chroma | None = None
) -> Samples:
    """Return the pixels of a TIFF file as a greyscale image, upright.

    Parameters
    ----------
    content : bytes
        The whole file.
    max_pixels : int
        Larger images are rejected before memory is allocated.
    bit_depth : int
        Bit depth of 16-bit samples, if the file doesn't declare it by its tag MaxSampleValue.
    chroma : Chroma, optional
        Measures the colours, unless they are compressed as JPEG or of a palette.

    Returns
    -------
    ndarray of shape (H, W), uint8 or, above 8 bits, uint16

    Raises
    ------
    ImageFileError
        The file is damaged, truncated, too large, of an unsupported kind, or holds several images.
    """
    directory = read_directory(content, _TAGS)
    images = count_directories(content)
    if images > 1:
        raise ImageFileError(f"contains {images} images; save each in a separate file")
    layout = _layout(directory, max_pixels)
    tags = (_TILE_OFFSETS, _TILE_BYTES) if layout.is_tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    offsets, sizes = (directory.numbers.get(tag, ()) for tag in tags)
    samples = samples_of(content, offsets, sizes, layout)
    declared = _declared_depth(directory, layout, samples)
    grey = _grey(samples, layout, directory, declared or bit_depth, chroma)
    held = directory.numbers.get(ORIENTATION, ())
    xmp = directory.texts.get(_XMP, b"")
    orientation = held[0] if held else declared_orientation(xmp=xmp)
    return upright(grey, orientation)


def _layout(directory: Directory, max_pixels: int) -> Layout:
    height, width = _one(directory, _HEIGHT), _one(directory, _WIDTH)
    if height * width > max_pixels:
        raise ImageFileError(f"has {width} x {height} pixels; the limit is {max_pixels:,} pixels")
    if height < 1 or width < 1:
        raise ImageFileError(f"is damaged: its size is {width} x {height} pixels")
    samples = _one(directory, _SAMPLES, 1)
    photometric = _one(directory, _PHOTOMETRIC)
    bits = _common(directory, _BITS, 1, "bits")
    sample_format = _common(directory, _SAMPLE_FORMAT, 1, "formats")
    if bits > 16 or sample_format not in (1, 4):
        kind = {1: "", 2: "signed ", 3: "floating-point "}.get(sample_format, "")
        raise ImageFileError(f"has {bits}-bit {kind}pixels; save it with 16-bit unsigned pixels")
    if bits < 1 or photometric not in _CHANNELS:
        raise ImageFileError(
            f"has {bits}-bit pixels of photometric interpretation {photometric}, which isn't"
            " supported; save it as greyscale"
        )
    if not _CHANNELS[photometric] <= samples <= _MOST_SAMPLES:
        raise ImageFileError(f"is damaged: it has {samples} samples per pixel")
    compression = _one(directory, _COMPRESSION, 1)
    if compression not in COMPRESSIONS:
        raise ImageFileError(
            f"has TIFF compression {compression}, which isn't supported; save it with Deflate"
        )
    planes = samples if _one(directory, _PLANAR, 1) == 2 else 1
    if compression == JPEG and (bits != 8 or planes > 1 or samples != _CHANNELS[photometric]):
        raise ImageFileError("has JPEG compression of an unsupported kind; save it with Deflate")
    subsampling = directory.numbers.get(_SUBSAMPLING, (2, 2))
    if photometric == YCBCR and compression != JPEG and subsampling != (1, 1):
        raise ImageFileError("has subsampled colours without JPEG compression; save it as RGB")
    is_tiled = _TILE_OFFSETS in directory.numbers
    block = (min(_one(directory, _ROWS_PER_STRIP, height), height), width)
    if is_tiled:
        block = (_one(directory, _TILE_HEIGHT), _one(directory, _TILE_WIDTH))
    if min(block) < 1 or block[0] * block[1] > 4 * max_pixels:
        raise ImageFileError(f"is damaged: its strips or tiles have {block[0]} x {block[1]} pixels")
    return Layout(
        height=height,
        width=width,
        bits=bits,
        samples=samples,
        planes=planes,
        compression=compression,
        predictor=_one(directory, _PREDICTOR, 1),
        reverses_bits=_one(directory, _FILL_ORDER, 1) == 2,
        block=block,
        is_tiled=is_tiled,
        byte_order=directory.byte_order,
        jpeg_tables=directory.texts.get(_JPEG_TABLES, b""),
        is_ycbcr=photometric == YCBCR,
    )


def _declared_depth(directory: Directory, layout: Layout, samples: Samples) -> int:
    """Return the bit depth that the file declares, or 0.

    MaxSampleValue declares a depth if it is the highest level of one, such as 4095; other values
    describe the image, and samples above it make it void.
    """
    if layout.bits != 16:
        return layout.bits
    highest = max(directory.numbers.get(_MAX_SAMPLE, (0,)))
    depth = highest.bit_length()
    is_depth = 8 <= depth < 16 and highest == 2**depth - 1
    return depth if is_depth and samples.max() <= highest else 0


def _grey(
    samples: Samples, layout: Layout, directory: Directory, depth: int, chroma: Chroma | None
) -> Samples:
    photometric = _one(directory, _PHOTOMETRIC)
    if photometric == PALETTE:
        return _colours(directory, layout.bits)[samples[..., 0]]
    if layout.compression == JPEG:
        grey = samples[..., 0]  # luma already
    elif photometric in (RGB, CMYK):
        channels = spanning(samples[..., : _CHANNELS[photometric]], depth)
        return luma(channels, chroma) if photometric == RGB else luma_of_inks(channels)
    else:
        grey = spanning(samples[..., 0], depth)
    return np.iinfo(grey.dtype).max - grey if photometric == WHITE_IS_ZERO else grey


def _colours(directory: Directory, bits: int) -> Samples:
    """Return the luma of each colour of the palette, uint8."""
    held = np.array(directory.numbers.get(_COLOUR_MAP, ()))
    if len(held) != 3 * 2**bits or bits > 8:
        raise ImageFileError(f"is damaged: its palette has {len(held)} values for {bits} bits")
    # Levels have 16 bits; some software writes 8.
    levels = held >> 8 if held.max() > 255 else held
    return luma(levels.astype(np.uint8).reshape(1, 3, -1).transpose(0, 2, 1))[0]


def _one(directory: Directory, tag: int, default: int | None = None) -> int:
    held = directory.numbers.get(tag, ())
    if held:
        return held[0]
    if default is None:
        raise ImageFileError(f"is damaged: it has no TIFF tag {tag}")
    return default


def _common(directory: Directory, tag: int, default: int, what: str) -> int:
    held = set(directory.numbers.get(tag, (default,)))
    if len(held) != 1:
        raise ImageFileError(f"has samples of different {what}; save it as greyscale")
    return held.pop()
