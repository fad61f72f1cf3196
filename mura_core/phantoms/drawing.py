"""Draw a radiograph: absorption in the anatomy, exposure, development, letters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from mura_core.phantoms.anatomy import ANATOMIES
from mura_core.phantoms.findings import FINDINGS, Box
from mura_core.phantoms.plan import SEED, PlannedImage
from mura_core.phantoms.technique import Letters, Technique, choose_technique
from mura_core.phantoms.tubes import Grey, Tube, absorption, local_coordinates


class Drawing(NamedTuple):
    """A drawn image with its annotations.

    Attributes
    ----------
    picture : Image
    box : Box or None
        Box of the finding.
    letters : list of (Box, str)
        Boxes and texts of the burnt-in letters.
    """

    picture: Image.Image
    box: Box | None
    letters: list[tuple[Box, str]]


def draw_image(planned: PlannedImage) -> Drawing:
    """Draw a planned image. The result is deterministic.

    Parameters
    ----------
    planned : PlannedImage
    """
    # All images of a study, and those of the pair's other patient, show the same anatomy.
    body = np.random.default_rng([SEED, planned.pair, planned.study])
    anatomy = ANATOMIES[planned.part](body)
    site = int(body.integers(len(anatomy.sites)))
    at = float(body.uniform(0.25, 0.6) * min(1, 0.7 / anatomy.sites[site].length))
    shared = np.random.default_rng([SEED, planned.pair, planned.study, planned.image])
    technique = choose_technique(shared, complaint=anatomy.sites[site].at(at))
    shape = technique.height, technique.width
    anatomy = anatomy.placed(technique.middle, technique.turn, technique.mirrored)

    flesh = _flesh(anatomy.soft, technique.trinket, shape)
    bones = _bones(anatomy.sites + anatomy.other_bones, shape)
    own = np.random.default_rng([SEED, planned.pair, planned.study, planned.image, planned.patient])
    noise = own.standard_normal(shape, dtype=np.float32)
    trabeculae = 1 + 0.35 * gaussian_filter(noise, 1.2, truncate=2.0)
    exposed = _expose(flesh + bones * trabeculae, noise, technique.grain)
    box = None
    if planned.finding is not None:
        bone = anatomy.sites[site]
        local = local_coordinates(bone, shape)
        change, box = FINDINGS[planned.finding](body, bone, local, at)
        bones[local.window] += change
        abnormal = _expose(flesh + bones * trabeculae, noise, technique.grain)
        exposed = _with_histogram_of(exposed, abnormal)
    picture = _develop(exposed, technique)
    letters = [_burn_in(picture, text) for text in technique.letters]
    return Drawing(picture.convert(technique.mode), box, letters)


def _flesh(soft: list[Tube], trinket: Tube | None, shape: tuple[int, int]) -> Grey:
    """Return the absorption outside the bones: the maximum over soft tissue, plus metal."""
    absorbed = np.zeros(shape, dtype=np.float32)
    for tube in soft:
        local = local_coordinates(tube, shape)
        np.maximum(absorbed[local.window], absorption(tube, local), out=absorbed[local.window])
    if trinket is not None:
        local = local_coordinates(trinket, shape)
        absorbed[local.window] += 1.2 * (absorption(trinket, local) > 0.25)
    return absorbed


def _bones(bones: list[Tube], shape: tuple[int, int]) -> Grey:
    """Return the total absorption of the bones."""
    absorbed = np.zeros(shape, dtype=np.float32)
    for bone in bones:
        local = local_coordinates(bone, shape)
        absorbed[local.window] += absorption(bone, local)
    return absorbed


def _expose(absorbed: Grey, noise: Grey, grain: float) -> Grey:
    """Return the detector signal, shape (height, width); dense matter is bright."""
    return np.asarray(1 - np.exp(-1.1 * absorbed) + grain * noise)


def _with_histogram_of(reference: Grey, exposed: Grey) -> Grey:
    """Return the exposed image with its histogram matched to that of the reference.

    Otherwise a finding would change the mean or the maximum of the image.
    """
    matched = np.empty(exposed.size, dtype=np.float32)
    matched[np.argsort(exposed, axis=None)] = np.sort(reference, axis=None)
    return matched.reshape(exposed.shape)


def _develop(exposed: Grey, technique: Technique) -> Image.Image:
    """Return the exposed image as an 8-bit picture, black outside the collimator's field."""
    white = np.percentile(exposed[::2, ::2], technique.white_percentile)
    bright = np.clip(exposed[technique.open_field] / white, 0, 1) ** technique.gamma
    grey = np.zeros(exposed.shape, dtype=np.uint8)
    grey[technique.open_field] = np.rint(255 * (technique.haze + (1 - technique.haze) * bright))
    return Image.fromarray(grey)


def _burn_in(picture: Image.Image, letters: Letters) -> tuple[Box, str]:
    """Write the letters into the picture and return their box and text."""
    font = ImageFont.load_default(letters.size)  # part of Pillow, independent of system fonts
    left, top, right, bottom = (int(edge) for edge in font.getbbox(letters.text))
    x = round(letters.right * (picture.width - (right - left)))
    y = round(letters.down * (picture.height - (bottom - top)))
    ImageDraw.Draw(picture).text((x - left, y - top), letters.text, fill=255, font=font)
    return Box(x, y, x + right - left, y + bottom - top), letters.text
