"""Draw contact sheets of the network's most confident errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mura_core.data import file_name_of
from mura_core.errors import RadiographError
from mura_core.files import replacing
from mura_core.imaging import Readers, read_radiograph

_A_SHEET = 12
_ACROSS = 4
_SIDE = 224
_CAPTION = 34  # pixels below each image
_FONT_SIZE = 13


def sheet_of(part: str) -> str:
    """Return the path of a body part's contact sheet, relative to the run folder."""
    return f"errors/{file_name_of(part)}.png"


def draw_contact_sheets(
    mistakes: pd.DataFrame,
    data_folder: Path,
    folder: Path,
    readers: Readers,
    bit_depth: int = 16,
) -> Iterator[Path]:
    """Write a contact sheet of up to twelve most confident errors for each body part.

    Parameters
    ----------
    mistakes : DataFrame
        The misclassified images, as returned by `evaluation.errors_of`.
    data_folder : Path
        The folder that the images' paths are relative to. An image that can't be read any more is
        left blank.
    folder : Path
        The run folder.
    readers : mapping
        Image readers by file suffix, in addition to the built-in ones.
    bit_depth : int
        Bit depth of 16-bit images whose files don't declare it.

    Yields
    ------
    Path
        The written contact sheet.
    """
    for part, rows in mistakes.groupby("body_part"):
        shown = rows.head(_A_SHEET)
        height = _SIDE + _CAPTION
        sheet = Image.new("L", (_ACROSS * _SIDE, -(-len(shown) // _ACROSS) * height), 255)
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(_FONT_SIZE)
        for number, row in enumerate(shown.to_dict("records")):
            left, top = number % _ACROSS * _SIDE, number // _ACROSS * height
            with suppress(RadiographError):
                sheet.paste(_square(data_folder / row["path"], readers, bit_depth), (left, top))
            truth = "abnormal" if row["label"] else "normal"
            name = f"{row['patient']} {row['study']} {Path(row['path']).name}"
            caption = f"{truth}, probability {row['probability']:.3f}\n{name}"
            draw.multiline_text((left + 3, top + _SIDE + 2), caption, 0, font, spacing=1)
        path = folder / sheet_of(str(part))
        path.parent.mkdir(exist_ok=True)
        with replacing(path, "wb") as file:
            sheet.save(file, format="PNG")
        yield path


def _square(path: Path, readers: Readers, bit_depth: int) -> Image.Image:
    pixels: NDArray[np.uint8 | np.uint16] = read_radiograph(
        path, readers=readers, bit_depth=bit_depth
    )
    eight_bit = np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    return ImageOps.pad(Image.fromarray(eight_bit), (_SIDE - 4, _SIDE - 4), color=0)
