"""Small data sets, written on the spot."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def write_image(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def with_logits(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with the logits of their probabilities, which tell images apart."""
    probability = predictions["probability"].clip(1e-9, 1 - 1e-9)
    return predictions.assign(logit=np.log(probability / (1 - probability)))


def write_mura(folder: Path, *, patients: int = 40, size: int = 40, seed: int = 0) -> Path:
    """Write a data set in MURA's layout: noise, with a bright square where it is abnormal.

    Every patient has an elbow study of two images; every third also a wrist study. A quarter
    of the patients validate. Patients with odd numbers are abnormal.
    """
    random = np.random.default_rng(seed)
    root = folder / "MURA-v1.1"
    lines: dict[str, list[str]] = {"train": [], "valid": []}
    studies: dict[str, list[str]] = {"train": [], "valid": []}
    for number in range(patients):
        split = "valid" if number % 4 >= 2 and number % 8 >= 4 else "train"
        label = number % 2
        for part in ["XR_ELBOW"] + (["XR_WRIST"] if number % 3 == 0 else []):
            name = "positive" if label else "negative"
            study = f"MURA-v1.1/{split}/{part}/patient{number:05}/study1_{name}/"
            studies[split].append(f"{study},{label}")
            for image in (1, 2):
                pixels = random.integers(0, 120, (size, size + 8), dtype=np.uint8)
                if label:
                    pixels[10:26, 10:26] = 250
                write_image(folder / study / f"image{image}.png", pixels)
                lines[split].append(f"{study}image{image}.png")
    for split in lines:
        (root / f"{split}_image_paths.csv").write_text("\n".join(lines[split]) + "\n")
        (root / f"{split}_labeled_studies.csv").write_text("\n".join(studies[split]) + "\n")
    return folder
