"""Levels as the pages name them."""

LEVEL_NAMES = {
    "image": "image",
    "study": "study",
    "patient_within_part": "patient within a body part",
    "patient": "patient",
}
