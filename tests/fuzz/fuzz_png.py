"""Mutate PNG files without end, read each, and hold what is read against libpng.

    python tests/fuzz/fuzz_png.py --count 1000000 --seed 1

A mutant may be refused (PngError, ImageFileError) or read. What is read must be what libpng reads,
and libpng must read it: an image that libpng refuses is a failure, as are any other exception and,
in a build with sanitizers (`make fuzz`), any step out of bounds. The mutant is kept then.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from libpng import by_libpng
from png_writer import CHANNELS, SIGNATURE, chunk, random_png

from mura_core.errors import ImageFileError, PngError
from mura_core.imaging import FITS, METHODS, Square, resize
from mura_core.imaging.cpu import NAMES, instructions
from mura_core.imaging.png.reader import read_png

CORPUS = Path(__file__).parent / "corpus"
LIMIT = 300_000  # pixels
Random = np.random.Generator
Chunks = list[tuple[bytes, bytes]]


# Mutations of the file's bytes ----------------------------------------------------------------


def flip_bits(content: bytes, random: Random) -> bytes:
    mutant = bytearray(content)
    for _ in range(random.integers(1, 5)):
        mutant[random.integers(len(mutant))] ^= 1 << random.integers(8)
    return bytes(mutant)


def overwrite(content: bytes, random: Random) -> bytes:
    start = random.integers(len(content))
    length = random.integers(1, 9)
    return content[:start] + random.bytes(length) + content[start + length :]


def insert(content: bytes, random: Random) -> bytes:
    at = random.integers(len(content) + 1)
    return content[:at] + random.bytes(random.integers(1, 20)) + content[at:]


def delete(content: bytes, random: Random) -> bytes:
    at = random.integers(len(content))
    return content[:at] + content[at + random.integers(1, 20) :]


def truncate(content: bytes, random: Random) -> bytes:
    return content[: random.integers(len(content))]


# Mutations of the chunks, whose checksums are then right ---------------------------------------


def chunks_of(content: bytes) -> Chunks:
    chunks, at = [], len(SIGNATURE)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def joined(chunks: Chunks) -> bytes:
    return SIGNATURE + b"".join(chunk(kind, data) for kind, data in chunks)


def mutate_chunks(content: bytes, random: Random) -> bytes:
    chunks = chunks_of(content)
    at = int(random.integers(len(chunks)))
    kind, data = chunks[at]
    choice = random.integers(6)
    if choice == 0:
        del chunks[at]
    elif choice == 1:
        chunks.insert(at, chunks[random.integers(len(chunks))])
    elif choice == 2:
        chunks.insert(int(random.integers(len(chunks) + 1)), chunks.pop(at))
    elif choice == 3 and data:
        chunks[at] = (kind, flip_bits(data, random))
    elif choice == 4:
        chunks[at] = (flip_bits(kind, random), data)
    else:
        cut = random.integers(len(data) + 1)
        chunks[at : at + 1] = [(kind, data[:cut]), (kind, data[cut:])]
    return joined(chunks)


def mutate_header(content: bytes, random: Random) -> bytes:
    chunks = chunks_of(content)
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    at = random.integers(7)
    if at < 2:
        fields[at] = max(0, fields[at] + int(random.integers(-3, 4)))
        if random.random() < 0.1:
            fields[at] = int(random.integers(2**32))
    else:
        fields[at] = int(random.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]))
    chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
    return joined(chunks)


# Mutations of the pixels, compressed anew -------------------------------------------------------


def mutate_rows(content: bytes, random: Random) -> bytes:
    chunks = chunks_of(content)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    data = b"".join(data for kind, data in chunks if kind == b"IDAT")
    rows = bytearray(zlib.decompress(data))
    row_bytes = 1 + (width * CHANNELS[colour] * depth + 7) // 8
    choice = random.integers(5)
    if choice == 0 and not interlaced:
        for y in range(height):
            rows[y * row_bytes] = random.integers(5)
        if random.random() < 0.2:
            rows[random.integers(height) * row_bytes] = random.integers(256)
    elif choice == 1:
        rows = bytearray(flip_bits(bytes(rows), random))
    elif choice == 2:
        rows = rows[: random.integers(len(rows) + 1)]
    elif choice == 3:
        rows += random.bytes(random.integers(1, 9))
    else:
        rows = bytearray(random.bytes(len(rows)))
        for y in range(0 if interlaced else height):
            rows[y * row_bytes] = random.integers(5)
    stream = zlib.compress(bytes(rows), int(random.integers(10)))
    if random.random() < 0.1:
        stream += random.bytes(random.integers(1, 9))
    kept = [(kind, data) for kind, data in chunks if kind != b"IDAT"]
    kept.insert(-1 if kept[-1][0] == b"IEND" else len(kept), (b"IDAT", stream))
    return joined(kept)


def make_another(_: bytes, random: Random) -> bytes:
    return random_png(random, largest=70)


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flip_bits, overwrite, insert, delete, truncate, mutate_chunks, mutate_chunks, mutate_header,
    mutate_rows, mutate_rows, mutate_rows, make_another,
)  # fmt: skip


# The judge --------------------------------------------------------------------------------------


def outcome_of(content: bytes, random: Random) -> str:
    """Return what became of a mutant; raise an AssertionError where it is wrong."""
    try:
        pixels = read_png(content, LIMIT)
    except PngError as error:
        if not 0 <= error.offset <= len(content):
            raise AssertionError(f"an offset outside the file: {error}") from error
        return "refused"
    except ImageFileError:
        return "refused"
    try:
        expected = by_libpng(content)
    except imagecodecs.PngError as error:
        # libdeflate takes the two reserved length codes for 258. The pixels' checksum was right.
        if "invalid literal/length code" in str(error):
            return "read, with a reserved length code"
        raise
    np.testing.assert_array_equal(pixels, expected)
    square = Square(
        int(random.integers(1, 40)),
        METHODS[random.integers(len(METHODS))],
        FITS[random.integers(len(FITS))],
    )
    assert resize(pixels, square).shape == (square.size, square.size)
    return "read"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("failing-mutant.png"))
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    corpus = [path.read_bytes() for path in sorted(CORPUS.glob("*.png"))]
    outcomes: Counter[str] = Counter()
    with arguments.keep.open("wb", buffering=0) as kept:
        for number in range(arguments.count):
            content = corpus[random.integers(len(corpus))]
            for _ in range(random.choice([1, 1, 1, 2, 3])):
                try:
                    content = MUTATIONS[random.integers(len(MUTATIONS))](content, random)
                except (struct.error, zlib.error, ValueError, IndexError, KeyError):
                    break  # an earlier mutation has left nothing to take apart
            # Written before it is read, as a sanitizer ends the program.
            os.pwrite(kept.fileno(), content, 0)
            kept.truncate(len(content))
            try:
                outcomes[outcome_of(content, random)] += 1
            except Exception:
                traceback.print_exc()
                print(f"Mutant {number} of seed {arguments.seed} is kept as {arguments.keep}")
                return 1
    arguments.keep.unlink()
    summary = ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))
    print(f"{arguments.count:,} mutants with {NAMES[instructions()]}: {summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
