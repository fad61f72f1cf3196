"""PNG files byte by byte, as the specification words them, with any fault one likes."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7: the first row and column of each pass, and the steps to the next.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
           (1, 0, 2, 1))  # fmt: skip


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    fields = (width, height, depth, colour, 0, 0, interlaced)
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def file_of(head: bytes, rows: bytes, level: int = 1) -> bytes:
    return SIGNATURE + head + chunk(b"IDAT", zlib.compress(rows, level)) + chunk(b"IEND", b"")


def filtered(pixels: np.ndarray, filters: list[int], distance: int) -> bytes:
    """Filter rows of bytes (H, W); `distance` is the bytes of a pixel."""
    out = bytearray()
    up = np.zeros(pixels.shape[1], int)
    for row, kind in zip(pixels.astype(int), filters, strict=True):
        left = np.concatenate([np.zeros(distance, int), row[:-distance]])
        corner = np.concatenate([np.zeros(distance, int), up[:-distance]])
        initial = left + up - corner
        to_left, to_up, to_corner = (abs(initial - neighbour) for neighbour in (left, up, corner))
        paeth = np.where(to_up <= to_corner, up, corner)
        paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, paeth)
        predicted = [np.zeros_like(row), left, up, (left + up) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        up = row
    return bytes(out)


def interlaced_rows(pixels: np.ndarray, filters: list[int], distance: int) -> bytes:
    """Filter the seven passes of an image (H, W, bytes of a pixel)."""
    out = b""
    for row, column, down, across in _PASSES:
        part = pixels[row::down, column::across]
        if part.size:
            rows = part.reshape(len(part), -1)
            out += filtered(rows, [filters[y % len(filters)] for y in range(len(rows))], distance)
    return out


def packed(samples: np.ndarray, depth: int) -> np.ndarray:
    """Return rows of samples (H, W, channels) as rows of bytes."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        return rows.astype(">u2").view(np.uint8)
    if depth == 8:
        return rows.astype(np.uint8)
    bits = rows[..., None] >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)


def png_of(
    samples: np.ndarray,
    depth: int,
    colour: int,
    filters: list[int],
    *,
    interlaced: bool = False,
    between: bytes = b"",
) -> bytes:
    """Return a file with samples (H, W, channels) of any depth; `between` are other chunks."""
    height, width = samples.shape[:2]
    distance = max(1, CHANNELS[colour] * depth // 8)
    rows = b""
    for row, column, down, across in _PASSES if interlaced else [(0, 0, 1, 1)]:
        part = samples[row::down, column::across]
        if part.size:
            chosen = [filters[y % len(filters)] for y in range(len(part))]
            rows += filtered(packed(part, depth), chosen, distance)
    head = header(width, height, depth, colour, int(interlaced))
    return file_of(head + between, rows)


KINDS = [
    *[(0, 8)] * 5, *[(2, 8)] * 5, *[(3, 8)] * 2, *[(4, 8)] * 2, *[(6, 8)] * 2, *[(0, 16)] * 2,
    (0, 1), (0, 2), (0, 4), (3, 1), (3, 2), (3, 4), (2, 16), (4, 16), (6, 16),
]  # fmt: skip


def random_png(random: np.random.Generator, largest: int = 40) -> bytes:
    """Return a file of any kind and size, with any filters."""
    height, width = random.integers(1, largest + 1, 2).tolist()
    if random.random() < 0.1:
        height, width = (1, width) if random.random() < 0.5 else (height, 1)
    colour, depth = KINDS[random.integers(len(KINDS))]
    steps = random.integers(-4, 5, (height, width, CHANNELS[colour]))
    smooth = np.cumsum(steps, axis=random.integers(2))
    samples = smooth if random.random() < 0.7 else random.integers(0, 2**depth, steps.shape)
    if CHANNELS[colour] >= 3 and random.random() < 0.5:
        samples[..., :3] = samples[..., :1]
    kind = random.integers(7)
    filters = random.integers(0, 5, height) if kind >= 5 else np.full(height, kind % 5)
    palette = chunk(b"PLTE", random.bytes(2**depth * 3)) if colour == 3 else b""
    content = png_of(
        samples % 2**depth,
        depth,
        colour,
        filters.tolist(),
        interlaced=random.random() < 0.1,
        between=palette,
    )
    return content if random.random() < 0.7 else with_split_data(content, random)


def with_split_data(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file with its compressed pixels in several chunks."""
    at = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, at)
    data = content[at + 8 : at + 8 + length]
    cuts = sorted({0, len(data), *random.integers(0, len(data) + 1, 3).tolist()})
    parts = [data[start:end] for start, end in pairwise(cuts)]
    chunks = b"".join(chunk(b"IDAT", part) for part in parts)
    return content[:at] + chunks + content[at + 12 + length :]
