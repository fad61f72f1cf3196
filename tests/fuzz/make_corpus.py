"""Write the corpus that the fuzzer starts from: small files of every kind there is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

from png_writer import (
    CHANNELS,
    chunk,
    file_of,
    filtered,
    header,
    interlaced_rows,
    png_of,
    with_split_data,
)

CORPUS = Path(__file__).parent / "corpus"
KINDS = {"L": (0, 8), "RGB": (2, 8), "LA": (4, 8), "RGBA": (6, 8), "I16": (0, 16)}
FILTERS = {"none": [0], "sub": [1], "up": [2], "average": [3], "paeth": [4],
           "mixed": [4, 1, 3, 2, 0, 4, 3]}  # fmt: skip


def main() -> None:
    random = np.random.default_rng(2019)
    rows, columns = np.mgrid[:35, :21]
    ramp = (3 * rows + 5 * columns)[..., None]
    files = {}
    for kind, (colour, depth) in KINDS.items():
        bytes_of_pixel = {"L": 1, "RGB": 3, "LA": 2, "RGBA": 4, "I16": 2}[kind]
        noise = random.integers(0, 4, (35, 21, bytes_of_pixel))
        pixels = ((ramp + noise) % 256).astype(np.uint8)
        for name, some in FILTERS.items():
            filters = [some[y % len(some)] for y in range(35)]
            filtered_rows = filtered(pixels.reshape(35, -1), filters, bytes_of_pixel)
            files[f"{kind}-{name}"] = file_of(header(21, 35, depth, colour), filtered_rows)
        interlaced = interlaced_rows(pixels, [4, 2], bytes_of_pixel)
        files[f"{kind}-interlaced"] = file_of(header(21, 35, depth, colour, 1), interlaced)
        files[f"{kind}-split"] = with_split_data(files[f"{kind}-mixed"], random)
    for colour, depth in ((0, 1), (0, 2), (0, 4), (3, 2), (3, 4), (2, 16), (4, 16), (6, 16)):
        samples = random.integers(0, 2**depth, (35, 21, CHANNELS[colour]))
        palette = chunk(b"PLTE", random.bytes(2**depth * 3)) if colour == 3 else b""
        for interlaced in (False, True):
            name = f"colour{colour}-depth{depth}{'-interlaced' * interlaced}"
            files[name] = png_of(
                samples, depth, colour, [4, 2, 1, 3], interlaced=interlaced, between=palette
            )
    grey = np.repeat(((ramp) % 256).astype(np.uint8), 3, axis=2)
    files["RGB-grey"] = file_of(header(21, 35, 8, 2), filtered(grey.reshape(35, -1), [4] * 35, 3))
    one = np.array([[7]], np.uint8)
    files["L-one-pixel"] = file_of(header(1, 1), filtered(one, [4], 1))
    image = Image.fromarray(grey[..., 0])
    text = PngInfo()
    text.add_text("Comment", "an elbow")
    for name, some, options in (
        ("P", image.convert("P"), {}),
        ("1", image.convert("1"), {}),
        ("L-text", image, {"pnginfo": text}),
        ("L-density", image, {"dpi": (300, 300)}),
    ):
        file = io.BytesIO()
        some.save(file, "PNG", **options)
        files[name] = file.getvalue()
    CORPUS.mkdir(exist_ok=True)
    for name, content in files.items():
        (CORPUS / f"{name}.png").write_bytes(content)


if __name__ == "__main__":
    main()
