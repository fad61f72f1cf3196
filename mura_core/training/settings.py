"""The settings of a training, and recipes: settings of a run that were tested together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mura_core.settings import Group, setting

Schedule: TypeAlias = Literal["constant", "cosine", "plateau"]
Keep: TypeAlias = Literal["last", "best"]
Watched: TypeAlias = Literal["loss", "auroc"]
Jit: TypeAlias = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Recipe:
    """The settings of a training; each field declares its type, default, limits and help.

    See docs/settings.md for a table of them, and docs/training.md for what they do.
    """

    epochs: int = setting(10, Group.TRAINING, "Passes over the training images.", ge=1)
    batch_size: int = setting(8, Group.TRAINING, "Images per training step.", ge=1)
    learning_rate: float = setting(3e-3, Group.TRAINING, "Peak learning rate of Adam.", gt=0)
    accumulate: int = setting(
        1,
        Group.TRAINING,
        "Average the gradients of N batches before each update: an N times larger batch in the"
        " memory of one.",
        ge=1,
    )
    schedule: Schedule = setting(
        "cosine",
        Group.TRAINING,
        "Learning-rate schedule: cosine decays to 0 after the warm-up; plateau divides the rate by"
        " 10 after 3 epochs without improvement of the watched metric.",
    )
    warm_up: float = setting(
        1.0,
        Group.TRAINING,
        "Epochs over which the cosine schedule raises the learning rate from 0.",
        metavar="EPOCHS",
        ge=0,
    )
    weight_decay: float = setting(
        0.0,
        Group.TRAINING,
        "Weight decay of AdamW (Loshchilov and Hutter 2019); biases and normalisation are exempt.",
        ge=0,
    )
    label_smoothing: float = setting(
        0.0,
        Group.LOSS,
        "Train towards the labels S/2 and 1 - S/2 instead of 0 and 1.",
        metavar="S",
        ge=0,
        lt=1,
    )
    gradient_centralisation: bool = setting(
        True,
        Group.TRAINING,
        "Subtract the mean from each unit's kernel gradient, which keeps units active (Yong et al."
        " 2020).",
    )
    zero_logit: bool = setting(
        True,
        Group.TRAINING,
        "Start with a kernel of zeros in the final dense layer, if it is named logit.",
    )
    head_rate: float = setting(
        1.0,
        Group.TRAINING,
        "Multiply the learning rate of the head (layers named logit... or cells...) by this"
        " factor.",
        metavar="FACTOR",
        gt=0,
    )
    cell_loss: float = setting(
        20.0,
        Group.LOSS,
        "Weight of the loss of a cell map, which learns the location of findings from boxes.csv;"
        " 0 ignores the boxes.",
        metavar="WEIGHT",
        ge=0,
    )
    average_flips: bool = setting(
        False,
        Group.VALIDATION,
        "Average the predicted probabilities of each image and its mirror image.",
    )
    augment: tuple[str, ...] = setting(
        (),
        Group.TRAINING,
        "Random change of the training images: flip, rotate, shift, zoom, contrast or brightness;"
        " repeat for several. rotate=15 sets the largest change.",
        metavar="KIND[=AMOUNT]",
    )
    keep: Keep = setting(
        "last",
        Group.TRAINING,
        "Keep the weights of the last epoch, or of the best one by the watched metric.",
    )
    early_stopping: int = setting(
        0,
        Group.TRAINING,
        "Stop after this many epochs without improvement of the watched metric; 0 never stops.",
        metavar="EPOCHS",
        ge=0,
    )
    watch: Watched = setting(
        "loss",
        Group.TRAINING,
        "Metric that compares epochs, measured on a tenth of the training patients, who are held"
        " out for it.",
    )
    mixed_precision: bool = setting(
        False,
        Group.MACHINE,
        "Compute in float16 on a GPU or bfloat16 on a CPU; weights stay in float32.",
    )
    rematerialise: bool = setting(
        False,
        Group.MACHINE,
        "Recompute features in the backward pass instead of storing them: less memory, about a"
        " third more work.",
    )
    jit: Jit = setting(
        "auto",
        Group.MACHINE,
        "Compile the training step with XLA. auto: on a single CPU without AVX-512, unless the"
        " network has depthwise convolutions.",
    )

    @property
    def watches(self) -> bool:
        """Whether a metric decides anything, for which images must be held out."""
        return self.keep == "best" or self.early_stopping > 0 or self.schedule == "plateau"


# Options of a run, by the name of `--recipe`; docs/training.md says what each reaches.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    # As its code had it; the other defaults are the report's already.
    "report2019": {
        "model": "conv4",
        "resize": "linear",
        "fit": "stretch",
        "epochs": 10,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "gradient_centralisation": False,
        "zero_logit": False,
    },
    # Both take half an hour of one core for some 1,800 images.
    # NOTE: as it was judged, without centralised gradients.
    "half-hour": {
        "model": "resnet18",
        "model_option": ("width=0.25", "cells=true", "local_contrast=true", "dropout=0.2"),
        "size": 384,
        "fit": "pad",
        "epochs": 18,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "label_smoothing": 0.05,
        "augment": ("flip", "rotate=15", "shift", "zoom", "contrast=0.3", "brightness=0.15"),
        "class_weights": "root",
        "average_flips": True,
        "gradient_centralisation": False,
    },
    # It overfits after some three epochs: the rest of the half hour goes to three networks.
    "transfer": {
        "model": "efficientnet-lite0",
        "model_option": ("cells=true", "folded=true", "frozen=true"),
        "weights": "imagenet",
        "size": 320,
        "fit": "pad",
        "epochs": 4,
        "seeds": "3",
        "batch_size": 16,
        "learning_rate": 2e-4,
        "head_rate": 8.0,
        "warm_up": 0.5,
        "weight_decay": 0.01,
        "label_smoothing": 0.05,
        "augment": ("flip", "rotate=15", "shift", "zoom", "contrast", "brightness"),
        "class_weights": "root",
        "average_flips": True,
    },
}
