"""Levels at which metrics are computed, and the manifest columns that identify a unit of each."""

from __future__ import annotations

from mura_core.data.columns import PATIENT_WITHIN_PART, STUDY

ALL = "ALL"  # stands for all body parts together, where figures and counts name a body part
LEVELS = {
    "image": ["path"],
    "study": STUDY,
    "patient_within_part": PATIENT_WITHIN_PART,
    "patient": ["patient"],
}
