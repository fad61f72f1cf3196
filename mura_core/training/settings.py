"""How a network is trained: everything that a person of the field would name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Schedule: TypeAlias = Literal["constant", "cosine", "plateau"]
Keep: TypeAlias = Literal["last", "best"]
Watched: TypeAlias = Literal["loss", "auroc"]


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Of Adam, at its highest.
    accumulate : int
        Batches whose gradients are averaged before the weights move: as one batch so many times
        as large, but for batch normalisation, whose statistics are of each batch.
    schedule : {"constant", "cosine", "plateau"}
        Cosine falls to 0, after rising from 0 over the first `warm_up` epochs; plateau divides
        the rate by 10 after 3 epochs without a better watched figure.
    warm_up : float
        Epochs; of the cosine schedule.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019); biases and normalisation are left out of it.
    label_smoothing : float
        Moves the labels 0 and 1 towards one half by half of this.
    gradient_centralisation : bool
        Take the mean over a unit's inputs off the gradient of its kernel (Yong et al. 2020).
    zero_logit : bool
        Start the kernel of the final dense layer, if it is named `logit`, at zero: the layers
        before it don't move until it tells images apart.
    head_rate : float
        The learning rate of the layers whose names begin with `logit` or `cells`, as a multiple of
        the others': above 1 where the others start from pretrained weights.
    cell_loss : float
        The weight of the cell map's loss, for networks that have one and data with boxes; 0 leaves
        the boxes unused.
    average_flips : bool
        Predict the mean of an image's probability and its mirror image's.
    augment : tuple of str
        Kinds of `mura_core.training.augmentation.AMOUNTS`, or `kind=amount`.
    keep : {"last", "best"}
        Which epoch's weights are the model: the last, or the one with the best watched figure.
    early_stopping : int
        Epochs without a better watched figure after which training stops; 0 for never.
    watch : {"loss", "auroc"}
        The figure by which epochs are compared. It is measured on a tenth of the training
        patients, held out for it, and never on validation images.
    mixed_precision : bool
        Compute in float16 on a GPU, in bfloat16 on a CPU; weights stay in float32.
    rematerialise : bool
        Compute features again on the way back instead of keeping them: less memory, about a third
        more work, the same result.
    jit : {"auto", "on", "off"}
        Whether XLA compiles the training step: automatically, on a single CPU without AVX-512, if
        the network has no depthwise convolution.
    """

    epochs: int = 10
    batch_size: int = 8
    learning_rate: float = 3e-3
    accumulate: int = 1
    schedule: Schedule = "cosine"
    warm_up: float = 1.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    gradient_centralisation: bool = True
    zero_logit: bool = True
    head_rate: float = 1.0
    cell_loss: float = 20.0
    average_flips: bool = False
    augment: tuple[str, ...] = ()
    keep: Keep = "last"
    early_stopping: int = 0
    watch: Watched = "loss"
    mixed_precision: bool = False
    rematerialise: bool = False
    jit: str = "auto"

    @property
    def watches(self) -> bool:
        """Whether a figure decides anything, for which images must be held out."""
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
    # NOTE: as it was judged, which was before gradients were centralised.
    "half-hour": {
        "model": "resnet18",
        "model_option": ("width=0.25",),
        "size": 256,
        "fit": "pad",
        "epochs": 40,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "label_smoothing": 0.05,
        "augment": ("flip", "rotate", "shift", "contrast"),
        "class_weights": "none",
        "gradient_centralisation": False,
        "zero_logit": False,
    },
    "transfer": {
        "model": "efficientnet-lite0",
        "model_option": ("cells=true", "folded=true", "frozen=true"),
        "weights": "imagenet",
        "size": 320,
        "fit": "pad",
        "epochs": 12,
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
