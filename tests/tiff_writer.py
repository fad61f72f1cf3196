"""TIFF files byte by byte, as TIFF 6.0 words them, with any fault one likes."""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence

import imagecodecs
import numpy as np
from PIL import Image

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD = (
    1, 5, 7, 8, 32946, 32773, 34925, 50000,
)  # fmt: skip
SHORT, LONG = 3, 4
_LETTERS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 9: "i", 11: "f", 12: "d", 16: "Q"}

Tags = Mapping[int, tuple[int, Sequence[float]]]  # type and values by tag


def tiff_file(
    tags: Tags, data: bytes = b"", order: str = "<", is_big: bool = False, following: int = 0
) -> bytes:
    """Return a file of one directory, in which the offsets of tags 273 and 324 start at the data.

    The data follow the header of 8 or 16 bytes, and the directory the data.
    """
    mark, number = {"<": b"II", ">": b"MM"}[order], "Q" if is_big else "I"
    start, room = (16, 8) if is_big else (8, 4)
    values_at = start + len(data) + (8 if is_big else 2) + (20 if is_big else 12) * len(tags) + room
    entries, values = b"", b""
    for tag, (kind, held) in sorted(tags.items()):
        added = start if tag in (273, 324) else 0
        packed = struct.pack(f"{order}{len(held)}{_LETTERS[kind]}", *(one + added for one in held))
        count = len(held) // (2 if kind == 5 else 1)
        if len(packed) > room:
            field = struct.pack(f"{order}{number}", values_at + len(values))
            values += packed
        else:
            field = packed.ljust(room, b"\0")
        entries += struct.pack(f"{order}HH{number}", tag, kind, count) + field
    version = struct.pack(f"{order}HHH", 43, 8, 0) if is_big else struct.pack(f"{order}H", 42)
    head = mark + version + struct.pack(f"{order}{number}", start + len(data))
    count = struct.pack(order + ("Q" if is_big else "H"), len(tags))
    return head + data + count + entries + struct.pack(f"{order}{number}", following) + values


def tiff(
    samples: np.ndarray,
    *,
    bits: int = 0,
    photometric: int = 1,
    compression: int = NONE,
    predictor: int = 1,
    planar: bool = False,
    rows: int = 0,
    tile: tuple[int, int] | None = None,
    order: str = "<",
    is_big: bool = False,
    tags: Mapping[int, tuple[int, Sequence[float]] | None] | None = None,
) -> bytes:
    """Return the TIFF file of samples (H, W) or (H, W, channels), uint8 or uint16.

    `tags` are further tags, and those that are left out: None.
    """
    bits = bits or 8 * samples.dtype.itemsize
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width, channels = samples.shape
    down, across = tile or (rows or height, width)
    planes = np.moveaxis(samples, 2, 0)[..., None] if planar else samples[None]
    blocks = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                block = plane[top : top + down, left : left + across]
                if tile:
                    missing = (down - block.shape[0], across - block.shape[1])
                    block = np.pad(block, ((0, missing[0]), (0, missing[1]), (0, 0)))
                blocks.append(_compressed(block, bits, compression, predictor, order))
    sizes = [len(block) for block in blocks]
    offsets = [sum(sizes[:number]) for number in range(len(sizes))]
    own = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * channels),
        259: (SHORT, [compression]), 262: (SHORT, [photometric]), 277: (SHORT, [channels]),
        284: (SHORT, [2 if planar else 1]), 317: (SHORT, [predictor]),
    }  # fmt: skip
    if tile:
        own |= {322: (LONG, [across]), 323: (LONG, [down])}
    else:
        own[278] = (LONG, [down])
    own |= {324 if tile else 273: (LONG, offsets), 325 if tile else 279: (LONG, sizes)}
    own |= tags or {}
    kept = {tag: held for tag, held in own.items() if held is not None}
    return tiff_file(kept, b"".join(blocks), order, is_big)


def entries(content: bytes) -> dict[int, int]:
    """Return the byte offset of each entry of a little-endian file that isn't BigTIFF."""
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    places = range(at + 2, at + 2 + 12 * count, 12)
    return {struct.unpack_from("<H", content, place)[0]: place for place in places}


def _compressed(
    block: np.ndarray, bits: int, compression: int, predictor: int, order: str
) -> bytes:
    if compression == JPEG:
        file = io.BytesIO()
        Image.fromarray(block[..., 0]).save(file, "JPEG", quality=95)
        return file.getvalue()
    if predictor == 2:
        block = np.diff(block, axis=1, prepend=np.zeros_like(block[:, :1]))
    if bits in (8, 16):
        raw = block.astype(f"{order}u{bits // 8}").tobytes()
    else:  # the highest bit first, whatever the byte order; rows start at bytes
        ordered = block.astype(">u2").view(np.uint8).reshape(*block.shape, 2)
        each = np.unpackbits(ordered, axis=-1)[..., 16 - bits :]
        raw = np.packbits(each.reshape(block.shape[0], -1), axis=1).tobytes()
    return _ENCODERS[compression](raw)


def _packbits(raw: bytes) -> bytes:
    """Return PackBits data without runs."""
    parts = (raw[at : at + 128] for at in range(0, len(raw), 128))
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def _lzw(raw: bytes) -> bytes:
    """Return LZW data of codes of 9 bits, in which the table is cleared before it needs 10."""
    codes = []
    for at in range(0, len(raw), 250):
        codes += [256, *raw[at : at + 250]]
    ordered = np.array([*codes, 257], ">u2").view(np.uint8).reshape(-1, 2)
    return np.packbits(np.unpackbits(ordered, axis=1)[:, 7:]).tobytes()


_ENCODERS = {
    NONE: bytes, LZW: _lzw, DEFLATE: zlib.compress, OLD_DEFLATE: zlib.compress,
    PACKBITS: _packbits, LZMA: lzma.compress, ZSTD: imagecodecs.zstd_encode,
}  # fmt: skip
