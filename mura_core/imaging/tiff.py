"""Strict TIFF reader for greyscale, colour and palette images of 1 to 16 bits (TIFF 6.0, BigTIFF).

tifffile reads tags, strips and tiles. What it would leave out, fill in or guess is refused here,
and JPEG data are decoded by the strict reader of JPEG. libtiff isn't used: it writes errors to the
console from C, for the whole process, and what is missing from a damaged file comes out black.
"""

from __future__ import annotations

import io
import logging
import lzma
from collections.abc import Callable
from functools import cache
from itertools import pairwise, product
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from mura_core.errors import ImageFileError
from mura_core.imaging.jpeg import decoded
from mura_core.imaging.levels import Chroma, Samples, luma, luma_of_inks, spanning
from mura_core.imaging.limits import refuse_large
from mura_core.imaging.orientation import ORIENTATION, declared_orientation, upright
from mura_core.imaging.tiff_directory import count_directories, only_tags

if TYPE_CHECKING:
    from tifffile import TiffPage

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _MAX_SAMPLE, _COLOUR_MAP = 256, 257, 258, 262, 281, 320
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _JPEG_TABLES, _XMP = 273, 279, 324, 325, 347, 700
# The most numbers of each tag that is read; further ones are compression, bit order, samples, rows
# per strip, planes, predictor, and size of tiles; then sample formats and subsampling.
_NUMBERS = (
    dict.fromkeys((_WIDTH, _HEIGHT, 259, _PHOTOMETRIC, 266, ORIENTATION), 1)
    | dict.fromkeys((277, 278, 284, 317, 322, 323), 1)
    | dict.fromkeys((_BITS, _MAX_SAMPLE, 339, 530), 64)
    | dict.fromkeys((_COLOUR_MAP, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES), 1_000_000)
)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
_MOST_SAMPLES = 8  # per pixel
_NONE, _JPEG, _PACKBITS, _LZMA = 1, 7, 32773, 34925
_PREDICTABLE = {5, 8, 32946, _LZMA, 50000}  # LZW, Deflate and its older number, LZMA, Zstandard
# Predictor 2, bits and compression. Without compression, some programs ignore predictors.
_PREDICTED = set(product((2,), (8, 16), _PREDICTABLE))
# A small file can't claim much memory. LZW with 12-bit codes has the largest usual ratio, but
# Zstandard compresses black strips even more.
_MOST_RATIO, _ALWAYS_ALLOWED = 4000, 2**26
_MOST_PADDING = 3  # bytes after the last row


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
    images = count_directories(content)
    if images > 1:
        raise ImageFileError(f"contains {images} images; save each in a separate file")
    page = _page(content)
    _check_kind(page, max_pixels)
    samples = _samples(content, page)
    grey = _grey(samples, page, _declared_depth(page, samples) or bit_depth, chroma)
    xmp = page.tags.valueof(_XMP, b"")
    in_xmp = declared_orientation(xmp=xmp if isinstance(xmp, bytes) else str(xmp).encode())
    return upright(grey, page.tags.valueof(ORIENTATION, in_xmp))


def _page(content: bytes) -> TiffPage:
    """Return the first directory with the tags that are needed."""
    directory = only_tags(content, _NUMBERS, {_JPEG_TABLES, _XMP})
    try:
        page = _tifffile().TiffFile(io.BytesIO(directory)).pages.first
    except MemoryError:
        raise
    except Exception:  # tifffile raises anything for damaged tags
        raise ImageFileError("is damaged: its TIFF tags contradict each other") from None
    for tag in (_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC):
        if tag not in page.tags:
            raise ImageFileError(f"is damaged: it has no TIFF tag {tag}")
    return page


@cache
def _tifffile() -> ModuleType:
    """Return the module tifffile, without its log of what it repairs."""
    import tifffile

    logger = logging.getLogger("tifffile")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return tifffile


def _check_kind(page: TiffPage, max_pixels: int) -> None:
    """Refuse images of kinds that aren't supported, before memory is allocated."""
    height, width = page.tags.valueof(_HEIGHT), page.tags.valueof(_WIDTH)
    refuse_large(width, height, max_pixels)
    if height < 1 or width < 1:
        raise ImageFileError(f"is damaged: its size is {width} x {height} pixels")
    bits, photometric, samples = page.bitspersample, page.photometric, page.samplesperpixel
    if not isinstance(bits, int):
        raise ImageFileError("has samples of different bits; save it as greyscale")
    if bits > 16 or page.sampleformat not in (1, 4):
        kind = {2: "signed ", 3: "floating-point "}.get(page.sampleformat, "")
        raise ImageFileError(f"has {bits}-bit {kind}pixels; save it with 16-bit unsigned pixels")
    if bits < 1 or photometric not in _CHANNELS:
        raise ImageFileError(
            f"has {bits}-bit pixels of photometric interpretation {int(photometric)}, which isn't"
            " supported; save it as greyscale"
        )
    if not _CHANNELS[photometric] <= samples <= _MOST_SAMPLES or page.planarconfig not in (1, 2):
        raise ImageFileError(
            f"is damaged: it has {samples} samples per pixel and planes of kind {page.planarconfig}"
        )
    compression, predictor = int(page.compression), int(page.predictor)
    if compression not in _PREDICTABLE | {_NONE, _JPEG, _PACKBITS}:
        raise ImageFileError(
            f"has TIFF compression {compression}, which isn't supported; save it with Deflate"
        )
    if compression == _JPEG:
        has_planes = page.planarconfig == 2 and samples > 1
        if bits != 8 or has_planes or samples != _CHANNELS[photometric]:
            raise ImageFileError(
                "has JPEG compression of an unsupported kind; save it with Deflate"
            )
    elif photometric == YCBCR and page.is_subsampled:
        raise ImageFileError("has subsampled colours without JPEG compression; save it as RGB")
    elif predictor != 1 and (predictor, bits, compression) not in _PREDICTED:
        raise ImageFileError(f"has TIFF predictor {predictor}, which isn't supported")
    if min(page.chunks[:2]) < 1:
        raise ImageFileError("is damaged: its strips or tiles have no size")


def _samples(content: bytes, page: TiffPage) -> Samples:
    """Return the samples (H, W, samples) of the image; of JPEG data, their luma."""
    places = _places(content, page)
    planes, _, height, width, contiguous = page.shaped
    samples = 1 if page.compression == _JPEG else planes * contiguous
    image = np.empty((height, width, samples), np.uint8 if page.bitspersample <= 8 else np.uint16)
    unpack = _unpacker(page)
    for number, (offset, size) in enumerate(places):
        _, (plane, _, top, left, _), (_, down, across, samples) = page.decode(None, number)
        try:
            block = unpack(content[offset : offset + size], number, down)
        except (ImageFileError, MemoryError):
            raise
        except Exception:  # decoders raise anything for damaged data
            block = None
        # The last strip may be as long as the others.
        if block is None or block.shape[:2] not in ((down, across), (page.chunks[0], across)):
            kind = "tile" if page.is_tiled else "strip"
            raise ImageFileError(
                f"is damaged or truncated: {kind} {number} can't be decoded to exactly its pixels"
            )
        there = image[top : top + down, left : left + across, plane : plane + samples]
        there[:] = block[: there.shape[0], : there.shape[1]]
    return image


def _unpacker(page: TiffPage) -> Callable[[bytes, int, int], Samples | None]:
    """Return the function from the data, number and rows of a strip or tile to its samples."""
    if page.compression == _JPEG:
        return lambda data, number, down: _luma_of_jpeg(data, page)[..., None]
    import imagecodecs

    decompress: Callable[..., bytes] | None = None
    if page.compression != _NONE:
        decompress = _tifffile().TIFF.DECOMPRESSORS[page.compression]
    if page.compression == _LZMA:
        decompress = _checked_lzma
    is_reversed = page.fillorder == 2
    # tifffile gets decompressed data, as it would pass over what is too much.
    page.compression = page.fillorder = 1
    row_bytes = -(-page.chunks[1] * page.shaped[-1] * page.bitspersample // 8)
    whole = page.chunks[0] * row_bytes

    def unpack(data: bytes, number: int, down: int) -> Samples | None:
        if is_reversed:
            data = bytes(imagecodecs.bitorder_decode(data))
        raw = decompress(data, out=whole + 1) if decompress else data
        # Some software pads what isn't compressed.
        padding = 0 if decompress else _MOST_PADDING
        if not any(0 <= len(raw) - size <= padding for size in (down * row_bytes, whole)):
            return None
        block = page.decode(raw[: down * row_bytes], number)[0]
        return None if block is None else block[0]

    return unpack


def _checked_lzma(data: bytes, out: int) -> bytes:
    """Return at most `out` bytes or, without the end and its checksum, none."""
    decoder = lzma.LZMADecompressor()
    raw = decoder.decompress(data, out)
    return raw if decoder.eof else b""


def _places(content: bytes, page: TiffPage) -> list[tuple[int, int]]:
    """Return the byte offset and the size of each strip or tile, all of which are in the file."""
    kind = "tiles" if page.is_tiled else "strips"
    offsets, sizes = (page.tags.valueof(tag, ()) for tag in (_STRIPS, _STRIP_BYTES))
    if page.is_tiled:  # some software gives tiles the tags of strips
        offsets = page.tags.valueof(_TILES, offsets)
        sizes = page.tags.valueof(_TILE_BYTES, sizes)
    count = prod(page.chunked)
    if not sizes and page.compression == _NONE:  # as before TIFF 5.0
        sizes = page.databytecounts
    if len(offsets) != count or len(sizes) != count:
        raise ImageFileError(
            f"is damaged: it has {len(offsets)} offsets and {len(sizes)} sizes of {count} {kind}"
        )
    places = list(zip(offsets, sizes, strict=True))
    for number, (offset, size) in enumerate(places):
        if offset < 1 or size < 1 or offset + size > len(content):
            raise ImageFileError(
                f"is damaged or truncated: {kind[:-1]} {number} of {count} isn't in the file"
            )
    if any(start + size > after for (start, size), (after, _) in pairwise(sorted(places))):
        raise ImageFileError(f"is damaged: its {kind} overlap")
    claimed = count * prod(page.chunks) * (1 if page.bitspersample <= 8 else 2)
    if claimed > _MOST_RATIO * sum(sizes) + _ALWAYS_ALLOWED:
        raise ImageFileError(
            f"is damaged: its {kind} claim to hold {claimed:,} bytes in {sum(sizes):,}"
        )
    return places


def _luma_of_jpeg(data: bytes, page: TiffPage) -> Samples:
    # Tables are shared by all parts. Without Adobe's marker, RGB would be taken for YCbCr.
    transform = bytes([1 if page.photometric == YCBCR else 0])
    samples = page.samplesperpixel
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + transform if samples == 3 else b""
    stream = data[:2] + adobe + (page.jpegtables or b"")[2:-2] + data[2:]
    return decoded(stream, samples, inverted_inks=False)


def _declared_depth(page: TiffPage, samples: Samples) -> int:
    """Return the bit depth that the file declares, or 0.

    MaxSampleValue declares a depth if it is the highest level of one, such as 4095; other values
    describe the image, and samples above it make it void.
    """
    if page.bitspersample != 16:
        return page.bitspersample
    highest = int(np.max(page.tags.valueof(_MAX_SAMPLE, 0)))
    depth = highest.bit_length()
    is_depth = 8 <= depth < 16 and highest == 2**depth - 1
    return depth if is_depth and samples.max() <= highest else 0


def _grey(samples: Samples, page: TiffPage, depth: int, chroma: Chroma | None) -> Samples:
    photometric = page.photometric
    if photometric == PALETTE:
        return _colours(page)[samples[..., 0]]
    if page.compression == _JPEG:
        grey = samples[..., 0]  # luma already
    elif photometric in (RGB, CMYK):
        channels = spanning(samples[..., : _CHANNELS[photometric]], depth)
        return luma(channels, chroma) if photometric == RGB else luma_of_inks(channels)
    else:
        grey = spanning(samples[..., 0], depth)
    return np.iinfo(grey.dtype).max - grey if photometric == WHITE_IS_ZERO else grey


def _colours(page: TiffPage) -> Samples:
    """Return the luma of each colour of the palette, uint8."""
    held = np.array(page.tags.valueof(_COLOUR_MAP, ())).ravel()
    bits = page.bitspersample
    if len(held) != 3 * 2**bits or bits > 8:
        raise ImageFileError(f"is damaged: its palette has {len(held)} values for {bits} bits")
    # Levels have 16 bits; some software writes 8.
    levels = held >> 8 if held.max() > 255 else held
    return luma(levels.astype(np.uint8).reshape(1, 3, -1).transpose(0, 2, 1))[0]
