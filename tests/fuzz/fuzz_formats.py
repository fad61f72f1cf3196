"""Mutate image files of every format without end, and read each.

    python tests/fuzz/fuzz_formats.py --count 100000 --seed 1

A mutant may be refused (RadiographError, in one line) or read, as a grey image. Any other exception
is a failure, as are a refusal that hides a mistake of ours, and anything that a decoder writes to
the console or warns of. The mutant is kept then.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_png
from fuzz_png import CORPUS, delete, flip_bits, insert, overwrite, truncate

from mura_core.errors import RadiographError
from mura_core.imaging import read_radiograph

Random = np.random.Generator
Files = dict[str, bytes]

# Good files -------------------------------------------------------------------------------------


def good_files() -> dict[str, Files]:
    """Return small good files of each format, by what is special about them."""
    rows, columns = np.mgrid[:24, :40]
    noise = np.random.default_rng(0).integers(0, 30, rows.shape)
    grey = ((5 * rows + 3 * columns + noise) % 256).astype(np.uint8)
    colours = np.dstack([grey, grey[::-1], 255 - grey])
    return {
        "JPEG": jpegs(grey, colours),
        "TIFF": tiffs(grey, colours),
        "WebP": webps(grey, colours),
        "BMP": bmps(grey, colours),
        "PNG": {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.png"))},
    }


def jpegs(grey: np.ndarray, colours: np.ndarray) -> Files:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0132] = "2026:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    image, colour = Image.fromarray(grey), Image.fromarray(colours)
    thumbnail = saved(image.resize((8, 8)), "JPEG")
    return {
        "grey": saved(image, "JPEG"),
        "colour": saved(colour, "JPEG"),
        "progressive": saved(colour, "JPEG", progressive=True),
        "restarts": saved(image, "JPEG", restart_marker_blocks=2),
        "CMYK": saved(colour.convert("CMYK"), "JPEG"),
        "EXIF": saved(image, "JPEG", exif=exif),
        "thumbnail": saved(image, "JPEG", exif=exif.tobytes() + thumbnail),
        "XMP": saved(image, "JPEG", xmp=b'<x tiff:Orientation="8"/>'),
        "several": saved(image, "MPO", save_all=True, append_images=[image]),
    }


def tiffs(grey: np.ndarray, colours: np.ndarray) -> Files:
    wide = grey.astype(np.uint16) * 257
    files = {}
    for compression in (None, "lzw", "deflate", "packbits", "jpeg", "zstd", "lzma"):
        files[f"{compression}"] = tiff(grey, compression=compression, rowsperstrip=7)
        files[f"{compression} colour"] = tiff(colours, compression=compression, photometric="rgb")
        if compression != "jpeg":
            tiled = tiff(wide, compression=compression, tile=(16, 16), byteorder=">")
            files[f"{compression} 16 bit tiles"] = tiled
    planes = np.moveaxis(colours, 2, 0).copy()
    several = io.BytesIO()
    with tifffile.TiffWriter(several) as writer:
        for image in (grey, 255 - grey):
            writer.write(image, metadata=None)
    return files | {
        "predictor": tiff(wide, compression="deflate", predictor=True),
        "planes": tiff(planes, photometric="rgb", planarconfig="separate"),
        "12 bit": tiff(wide >> 4, bitspersample=12),
        "white is zero": tiff(grey, photometric="miniswhite"),
        "palette": tiff(grey, photometric="palette", colormap=np.ones((3, 256), np.uint16)),
        "BigTIFF": tiff(grey, bigtiff=True),
        "turned": tiff(grey, extratags=[(274, 3, 1, 5, True)]),
        "declared depth": tiff(wide >> 4, extratags=[(281, 3, 1, 4095, True)]),
        "CMYK": saved(Image.fromarray(colours).convert("CMYK"), "TIFF", compression="jpeg"),
        "two directories": several.getvalue(),
    }


def webps(grey: np.ndarray, colours: np.ndarray) -> Files:
    exif = Image.Exif()
    exif[0x0112] = 6
    colour = Image.fromarray(colours)
    return {
        "lossy": saved(colour, "WEBP"),
        "lossless": saved(colour, "WEBP", lossless=True),
        "alpha": saved(colour.convert("RGBA"), "WEBP"),
        "EXIF": saved(colour, "WEBP", exif=exif, xmp=b"<x/>"),
        "animation": saved(colour, "WEBP", save_all=True, append_images=[Image.fromarray(grey)]),
    }


def bmps(grey: np.ndarray, colours: np.ndarray) -> Files:
    image, colour = Image.fromarray(grey), Image.fromarray(colours)
    return {
        "grey": saved(image, "BMP"),
        "colour": saved(colour, "BMP"),
        "alpha": saved(colour.convert("RGBA"), "BMP"),
        "1 bit": saved(image.convert("1"), "BMP"),
        "palette": saved(colour.convert("P"), "BMP"),
        "run lengths": run_length_bmp(grey),
    }


def run_length_bmp(grey: np.ndarray) -> bytes:
    height, width = grey.shape
    data = b"".join(bytes([3, row[0], 0, width - 3, *row[3:], *[0] * ((width - 3) % 2), 0, 0])
                    for row in grey) + b"\0\1"  # fmt: skip
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    start = 14 + 40 + len(palette)
    head = struct.pack("<2sIII", b"BM", start + len(data), 0, start)
    about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return head + about + palette + data


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(samples: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


# Mutations --------------------------------------------------------------------------------------


def cut_and_close(content: bytes, random: Random) -> bytes:
    return truncate(content, random) + content[-2:]


def set_number(content: bytes, random: Random) -> bytes:
    """Write a number that is often a limit, as sizes, counts, types and offsets are numbers."""
    letter = "BHI"[random.integers(3)]
    size = struct.calcsize(letter)
    at = random.integers(max(1, min(len(content), 400) - size))
    number = int(random.choice([0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 255, 256, 65535, 2**31, 2**32 - 1]))
    value = struct.pack(f"{'<>'[random.integers(2)]}{letter}", number % 2 ** (8 * size))
    return content[:at] + value + content[at + size :]


def mutate_directory(content: bytes, random: Random) -> bytes:
    """Change the tag, type, count or value of an entry of a TIFF directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}[content[:4]]
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    entry = at + 2 + 12 * int(random.integers(count))
    fields = list(struct.unpack_from(f"{order}HHII", content, entry))
    which = random.integers(4)
    limits = [0, 1, 2, 3, 4, 5, 8, 12, 16, 257, 65535, 2**31, 2**32 - 1, len(content)]
    changed = int(random.choice(limits))
    if random.random() < 0.3:
        changed = fields[which] + int(random.integers(-3, 4))
    fields[which] = changed % (2**16 if which < 2 else 2**32)
    return content[:entry] + struct.pack(f"{order}HHII", *fields) + content[entry + 12 :]


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flip_bits, overwrite, insert, delete, truncate, cut_and_close, set_number, set_number,
    mutate_directory, mutate_directory,
)  # fmt: skip


def mutant_of(content: bytes, random: Random) -> bytes:
    mutations = fuzz_png.MUTATIONS if content.startswith(b"\x89PNG") else MUTATIONS
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        try:
            content = mutations[random.integers(len(mutations))](content, random)
        except (KeyError, ValueError, IndexError, struct.error, zlib.error):
            content = flip_bits(content, random) if content else b"\0"
    return content


# The judge --------------------------------------------------------------------------------------


SEVERAL = ("two directories", "animation")  # images, which are refused
MISTAKES = (NameError, AttributeError, TypeError, KeyError, AssertionError, BufferError)


def outcome_of(content: bytes) -> str:
    """Return what became of a mutant; raise an AssertionError where it is wrong."""
    try:
        pixels = read_radiograph(content)
    except RadiographError as error:
        if "\n" in str(error) or isinstance(error.__cause__, MISTAKES):
            raise AssertionError(f"{error!r} because of {error.__cause__!r}") from error
        return "refused"
    assert pixels.ndim == 2
    assert pixels.size > 0
    assert pixels.dtype in (np.uint8, np.uint16)
    return "read"


@contextmanager
def silent_console() -> Iterator[None]:
    """Raise an AssertionError if anything is written to the console, from C too, or warned of."""
    with tempfile.TemporaryFile() as written, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        kept = [os.dup(stream) for stream in (1, 2)]
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
        try:
            yield
        finally:
            for stream, console in zip((1, 2), kept, strict=True):
                os.dup2(console, stream)
                os.close(console)
        written.seek(0)
        said = written.read()
        assert not said, f"a decoder wrote {said!r}"
        assert not warned, f"a decoder warned: {warned[0].message}"


def fuzz(files: Files, count: int, seed: int, keep: Path) -> Counter[str]:
    """Read mutants of some files; the one that fails is kept in a file."""
    random = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    contents = list(files.values())
    with silent_console():
        for _ in range(count):
            mutant = mutant_of(contents[random.integers(len(contents))], random)
            try:
                outcomes[outcome_of(mutant)] += 1
                # What a library prints is in its own buffer; each is asked for at once.
                assert os.lseek(1, 0, os.SEEK_CUR) == 0, "a decoder wrote to the console"
            except BaseException:
                keep.write_bytes(mutant)
                raise
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("failing-mutant"))
    parser.add_argument("--format", choices=list(good_files()), action="append")
    arguments = parser.parse_args()
    for name, files in good_files().items():
        if arguments.format and name not in arguments.format:
            continue
        for kind, content in files.items():
            expected = "refused" if kind in SEVERAL else "read"
            assert outcome_of(content) == expected, (name, kind)
        try:
            outcomes = fuzz(files, arguments.count, arguments.seed, arguments.keep)
        except Exception:
            traceback.print_exc()
            print(f"A mutant of {name}, seed {arguments.seed}, is kept as {arguments.keep}")
            return 1
        summary = ", ".join(f"{number:,} {what}" for what, number in sorted(outcomes.items()))
        print(f"{arguments.count:,} mutants of {name}: {summary}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
