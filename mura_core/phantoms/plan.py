"""The plan of the data set: patients, studies, images and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from mura_core.phantoms.anatomy import ANATOMIES
from mura_core.phantoms.findings import FINDINGS

ROOT = "PHANTOMS"
PATIENT_PAIRS = {"train": 135, "valid": 40}
SEED = 1  # of the plan and the images


@dataclass(frozen=True)
class PlannedImage:
    """One image to draw.

    Attributes
    ----------
    split : str
        "train" or "valid".
    part : str
        Body part, a key of `ANATOMIES`.
    patient : int
        Number of the patient, from 1.
    study_folder : str
        Name of the study's folder, such as "study1_positive".
    pair, study, image : int
        Index of the pair of patients, of the study of the patient and of the image of the study,
        from 0. They seed everything that the two patients of the pair share.
    finding : str or None
        A key of `FINDINGS`; None for a normal image.
    """

    split: str
    part: str
    patient: int
    study_folder: str
    pair: int
    study: int
    image: int
    finding: str | None

    @property
    def study_path(self) -> str:
        """The study's path in MURA's layout, with a trailing slash."""
        return f"{ROOT}/{self.split}/{self.part}/patient{self.patient:05d}/{self.study_folder}/"

    @property
    def path(self) -> str:
        """The image's path in MURA's layout."""
        return f"{self.study_path}image{self.image + 1}.png"


def plan_images() -> list[PlannedImage]:
    """Return all images of the data set, in the order of the CSV files."""
    pair = count()
    return [
        planned
        for split, number_of_pairs in PATIENT_PAIRS.items()
        for _ in range(number_of_pairs)
        for planned in _images_of_a_pair(split, next(pair))
    ]


def _images_of_a_pair(split: str, pair: int) -> Iterator[PlannedImage]:
    """Yield the images of two patients who have the same studies with opposite labels."""
    rng = np.random.default_rng([SEED, pair])
    two_parts = rng.choice(sorted(ANATOMIES), size=2, replace=False)
    studies = rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])
    parts = rng.choice(two_parts, size=studies, p=[0.65, 0.35]).tolist()
    swapped = rng.integers(2, size=studies).tolist()
    findings = rng.choice(list(FINDINGS), size=studies).tolist()
    lengths = rng.choice([1, 2, 3, 4], size=studies, p=[0.25, 0.35, 0.3, 0.1]).tolist()
    for twin in (0, 1):
        patient = 2 * pair + twin + 1
        studies_under_part: Counter[str] = Counter()
        for study, part in enumerate(parts):
            studies_under_part[part] += 1
            finding = findings[study] if swapped[study] != twin else None
            sign = "negative" if finding is None else "positive"
            folder = f"study{studies_under_part[part]}_{sign}"
            for image in range(lengths[study]):
                yield PlannedImage(split, part, patient, folder, pair, study, image, finding)
