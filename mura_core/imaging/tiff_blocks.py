"""Decompress the strips and tiles of a TIFF file, each of which must be whole."""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass
from itertools import product

import numpy as np

from mura_core.errors import ImageFileError
from mura_core.imaging.jpeg import decoded
from mura_core.imaging.levels import Samples

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD = (
    1, 5, 7, 8, 32946, 32773, 34925, 50000,
)  # fmt: skip
COMPRESSIONS = (NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD)
_MOST_RATIO = 4000  # of compression, that of LZW with 12-bit codes being the largest
# What decompressors raise; errors of imagecodecs are RuntimeErrors.
_DAMAGED = (zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Layout:
    """How the samples of an image are stored.

    Parameters
    ----------
    height, width : int
        Size of the image.
    bits : int
        Bits of a sample, 1 to 16.
    samples : int
        Samples of a pixel.
    planes : int
        1, or the number of samples if each has strips or tiles of its own.
    compression : int
        One of `COMPRESSIONS`.
    predictor : {1, 2}
        2 if samples are differences to those on their left.
    reverses_bits : bool
        Whether a byte's lowest bit comes first.
    block : tuple of int
        Height and width of a strip or tile.
    is_tiled : bool
    byte_order : {"<", ">"}
    jpeg_tables : bytes
        JPEG tables shared by all parts.
    is_ycbcr : bool
        Whether colours in JPEG data are stored as luma and chroma.
    """

    height: int
    width: int
    bits: int
    samples: int
    planes: int
    compression: int
    predictor: int
    reverses_bits: bool
    block: tuple[int, int]
    is_tiled: bool
    byte_order: str
    jpeg_tables: bytes
    is_ycbcr: bool

    @property
    def in_block(self) -> int:
        """Samples of a pixel within a strip or tile."""
        return self.samples // self.planes


def samples_of(
    content: bytes, offsets: tuple[int, ...], sizes: tuple[int, ...], layout: Layout
) -> Samples:
    """Return the samples of an image; of JPEG data, their luma.

    Parameters
    ----------
    content : bytes
        The whole file.
    offsets, sizes : tuple of int
        Byte offset and number of bytes of each strip or tile.
    layout : Layout

    Returns
    -------
    ndarray of shape (H, W, samples), uint8 or uint16

    Raises
    ------
    ImageFileError
        A strip or tile is missing, damaged or truncated.
    """
    parts = _parts(content, offsets, sizes, layout)
    is_jpeg = layout.compression == JPEG
    shape = (layout.height, layout.width, 1 if is_jpeg else layout.samples)
    image = np.empty(shape, np.uint8 if layout.bits <= 8 else np.uint16)
    down, across = layout.block
    places = product(
        range(layout.planes),
        range(0, layout.height, down),
        range(0, layout.width, across),
    )
    for number, ((plane, top, left), part) in enumerate(zip(places, parts, strict=True)):
        there = image[top : top + down, left : left + across]
        if layout.planes > 1:
            there = there[..., plane : plane + 1]
        # The last strip holds only the rows that are left; tiles are always whole.
        rows = down if layout.is_tiled else there.shape[0]
        try:
            block = _block(part, rows, layout)
        except _DAMAGED:
            block = None
        if block is None:
            kind = "tile" if layout.is_tiled else "strip"
            raise ImageFileError(f"is damaged or truncated: {kind} {number} isn't whole")
        there[:] = block[: there.shape[0], : there.shape[1]]
    return image


def _parts(
    content: bytes, offsets: tuple[int, ...], sizes: tuple[int, ...], layout: Layout
) -> list[bytes]:
    """Return the compressed strips or tiles."""
    down, across = layout.block
    count = -(-layout.height // down) * -(-layout.width // across) * layout.planes
    kind = "tiles" if layout.is_tiled else "strips"
    if len(offsets) == count == 1 and not sizes:  # as before TIFF 5.0
        sizes = (len(content) - offsets[0],)
    if len(offsets) != count or len(sizes) != count:
        raise ImageFileError(f"is damaged: it lists {len(offsets)} of its {count} {kind}")
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        if offset < 1 or size < 1 or offset + size > len(content):
            raise ImageFileError(
                f"is damaged or truncated: {kind[:-1]} {number} of {count} isn't in the file"
            )
    return [content[at : at + size] for at, size in zip(offsets, sizes, strict=True)]


def _block(data: bytes, rows: int, layout: Layout) -> Samples | None:
    """Return the samples (rows, columns, samples) of a strip or tile, or None if it isn't whole."""
    columns, per_pixel, bits = layout.block[1], layout.in_block, layout.bits
    if layout.compression == JPEG:
        return _jpeg_block(data, rows, columns, layout)
    if layout.reverses_bits:
        data = data.translate(_REVERSED)
    row_bytes = (columns * per_pixel * bits + 7) // 8
    if rows * row_bytes > _MOST_RATIO * len(data):
        return None
    raw = _decompressed(data, rows * row_bytes, layout.compression)
    if len(raw) < rows * row_bytes:
        return None
    raw = raw[: rows * row_bytes]
    samples: Samples
    if bits == 8:
        samples = np.frombuffer(raw, np.uint8)
    elif bits == 16:
        samples = np.frombuffer(raw, f"{layout.byte_order}u2").astype(np.uint16)
    else:
        import imagecodecs

        kind = np.uint8 if bits < 8 else np.uint16
        samples = imagecodecs.packints_decode(raw, kind, bits, runlen=columns * per_pixel)
    block = samples.reshape(rows, columns, per_pixel)
    if layout.predictor == 1:
        return block
    if layout.predictor != 2 or bits not in (8, 16):
        raise ImageFileError(f"has TIFF predictor {layout.predictor}, which isn't supported")
    return np.cumsum(block, axis=1, dtype=block.dtype)


def _decompressed(data: bytes, size: int, kind: int) -> bytes:
    """Return at least `size` bytes if the data hold as many."""
    if kind == NONE:
        return data
    if kind in (DEFLATE, OLD_DEFLATE):
        inflater = zlib.decompressobj()
        inflated = inflater.decompress(data, size)
        more = inflater.decompress(inflater.unconsumed_tail, 1)
        # The checksum follows, unless more was compressed than the image needs.
        return inflated if inflater.eof or more else b""
    if kind == LZMA:
        decoder = lzma.LZMADecompressor()
        inflated = decoder.decompress(data, size)
        return inflated if decoder.eof or decoder.decompress(b"", 1) or decoder.eof else b""
    import imagecodecs

    if kind == ZSTD:
        return bytes(imagecodecs.zstd_decode(data, out=size))
    if kind == LZW:
        return bytes(imagecodecs.lzw_decode(data, out=size))
    return bytes(imagecodecs.packbits_decode(data, out=size))


def _jpeg_block(data: bytes, rows: int, columns: int, layout: Layout) -> Samples | None:
    # Tables are shared by all parts. Without Adobe's marker, RGB would be taken for YCbCr.
    transform = bytes([1 if layout.is_ycbcr else 0])
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + transform if layout.samples == 3 else b""
    stream = data[:2] + adobe + layout.jpeg_tables[2:-2] + data[2:]
    pixels = decoded(stream, layout.samples, inverted_inks=False)
    if pixels.shape[0] < rows or pixels.shape[1] < columns:
        return None
    return pixels[:rows, :columns, None]
