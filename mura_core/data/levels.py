"""What a figure can be of: an image, a study, a patient."""

from __future__ import annotations

from mura_core.data.manifest import PATIENT_WITHIN_PART, STUDY

LEVELS = {
    "image": ["path"],
    "study": STUDY,
    "patient_within_part": PATIENT_WITHIN_PART,
    "patient": ["patient"],
}
