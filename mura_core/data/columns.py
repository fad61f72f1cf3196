"""The columns of the table of a data set."""

from __future__ import annotations

COLUMNS = ["path", "body_part", "patient", "study", "label", "split"]
SPLITS = ("train", "valid", "test")

# The columns that identify a study, and the 2019 report's 'patient': a person with two body parts
# counts twice.
STUDY = ["body_part", "patient", "study"]
PATIENT_WITHIN_PART = ["body_part", "patient"]
