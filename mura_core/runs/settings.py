"""Settings of a run: those of its training, and all others that affect its results."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from mura_core.data import DEFAULT_SEED, Reading
from mura_core.errors import UsageError
from mura_core.evaluation import CalibrationMethod, StudyScore
from mura_core.imaging import Fit, Method, Square
from mura_core.settings import Group, setting
from mura_core.training import Recipe

ClassWeights: TypeAlias = Literal["report", "root", "none"]
Validation: TypeAlias = Literal["split", "holdout", "kfold"]
Style: TypeAlias = Literal["inferno", "report2019"]

PHANTOMS = "phantoms"

_MOST_SEEDS = 50
_BETWEEN_SEEDS = 1000
# NumPy and Keras accept seeds below 2**32; trainings that restart use the next seeds.
_LARGEST_SEED = 4_000_000_000


@dataclass(frozen=True)
class RunConfig(Recipe):
    """The settings of a run; each field declares its type, default, limits and help.

    `config.yaml` contains them by field name, and docs/settings.md lists them.
    """

    data: str = setting(
        PHANTOMS,
        Group.MOST_USED,
        "Folder of radiographs (MURA's layout, or with a manifest.csv), or a CSV file; `mura-run"
        " manifest` shows how it is read.",
        metavar="PATH",
        shown_default="phantoms, drawn by the program",
    )
    body_part: tuple[str, ...] = setting(
        (),
        Group.DATA,
        "Use only this body part, such as elbow; repeat for several.",
        metavar="PART",
        shown_default="all",
    )
    columns: str = setting(
        "",
        Group.DATA,
        "Columns of your own CSV, such as path=filename,label=fractured,patient=pid.",
        metavar="PAIRS",
        shown_default="path, body_part, patient, study, label, split",
    )
    positive: tuple[str, ...] = setting(
        (),
        Group.DATA,
        "Label that means abnormal, in your own CSV or as a folder's name, such as fracture; repeat"
        " for several. Any other label means normal.",
        metavar="VALUE",
        shown_default="1, true, yes, abnormal, positive",
    )
    allow_outside: bool = setting(
        False, Group.DATA, "Allow a CSV to list images outside its folder."
    )
    size: int = setting(
        224,
        Group.DATA,
        "Side of the square images, in pixels.",
        shown_default="the architecture's, mostly 224",
        ge=1,
    )
    resize: Method = setting(
        "area",
        Group.DATA,
        "Interpolation: area averages exactly, bilinear is antialiased, linear is that of the 2019"
        " code and aliases.",
    )
    fit: Fit = setting(
        "stretch",
        Group.DATA,
        "How images become square: stretch distorts them, as in the 2019 report; pad adds black"
        " borders; crop cuts off the ends.",
    )
    window: str = setting(
        "",
        Group.DATA,
        "Window of DICOM images, such as 2048,4096.",
        metavar="CENTRE,WIDTH",
        shown_default="the file's VOI LUT, or its first window",
    )
    bit_depth: int = setting(
        16,
        Group.DATA,
        "Bit depth of 16-bit images whose files don't declare it, such as 12 for the levels 0 to"
        " 4095.",
        metavar="BITS",
        ge=8,
        le=16,
    )
    standardise: bool = setting(
        True,
        Group.DATA,
        "Standardise pixels by the mean and deviation image of the training images, or use the"
        " levels 0 to 255.",
    )
    strict: bool = setting(
        False, Group.DATA, "Fail if an image can't be read, instead of leaving it out."
    )
    model: str = setting(
        "conv4",
        Group.MOST_USED,
        "Architecture; `mura-run plugins` lists them.",
        metavar="NAME",
    )
    model_option: tuple[str, ...] = setting(
        (),
        Group.NETWORK,
        "Option of the architecture, such as dropout=0.1; repeat for several.",
        metavar="KEY=VALUE",
    )
    weights: str = setting(
        "none",
        Group.NETWORK,
        "Initial weights: imagenet or a file; `mura-run plugins` lists what is available.",
        metavar="NAME|FILE",
    )
    class_weights: ClassWeights = setting(
        "report",
        Group.LOSS,
        "Class weights: report gives both labels equal influence, as in the 2019 report; root uses"
        " the square root of that ratio; none uses no weights.",
    )
    false_positive_bias: float = setting(
        0.0,
        Group.LOSS,
        "Bias b of the class weights: above 0, fewer false negatives and more false positives.",
        metavar="B",
        ge=0,
    )
    seed: int = setting(DEFAULT_SEED, Group.TRAINING, "Random seed.", ge=0, le=_LARGEST_SEED)
    seeds: str = setting(
        "1",
        Group.TRAINING,
        "Train N networks that differ only in their seed, or one for each seed of a list such as"
        " 2019,7,11, and average their predictions.",
        metavar="N|LIST",
    )
    deterministic: bool = setting(
        False, Group.MACHINE, "Produce the same bits in every run; slower."
    )
    restart: bool = setting(
        True,
        Group.TRAINING,
        "If the network collapses to the same output for every image, train again from the next"
        " seed, at most twice; or fail.",
    )
    shuffled_labels: bool = setting(
        False,
        Group.HEATMAPS,
        "Also train a network on shuffled labels, as a baseline for the heatmaps; doubles the"
        " training time.",
    )
    devices: str = setting(
        "all",
        Group.MACHINE,
        "Devices to train on, such as cpu or gpu:0,gpu:1; all uses every GPU.",
        metavar="LIST",
    )
    validate: Validation = setting(
        "split",
        Group.VALIDATION,
        "Evaluate on the data's own validation images (split), or on training patients that are"
        " held out once (holdout) or in folds (kfold).",
    )
    proportion: float = setting(
        0.8,
        Group.VALIDATION,
        "Proportion of the training images to train on with --validate holdout.",
        ge=0.05,
        le=0.95,
    )
    folds: int = setting(
        5,
        Group.VALIDATION,
        "Number of folds with --validate kfold.",
        metavar="K",
        ge=2,
    )
    operating_point: str = setting(
        "0.5",
        Group.VALIDATION,
        "Probability from which an image is called abnormal: a number, or youden, sensitivity=0.95"
        " or specificity=0.9, chosen on held-out training patients. Images between two points,"
        " such as 0.3,0.7 or sensitivity=0.95,specificity=0.95, are called uncertain.",
        metavar="RULE",
    )
    calibrate: CalibrationMethod = setting(
        "none", Group.VALIDATION, "Calibrate probabilities on held-out training patients."
    )
    study_score: StudyScore = setting(
        "mean",
        Group.VALIDATION,
        "Probability of a study, or a patient, from that of its images: the mean, the maximum, or"
        " 1 - prod(1 - p).",
    )
    explain: tuple[str, ...] = setting(
        (),
        Group.MOST_USED,
        "Draw heatmaps with this method, such as gradcam, or with all; repeat for several.",
        metavar="NAME",
    )
    explain_images: str = setting(
        "24",
        Group.HEATMAPS,
        "Images to explain: N, balanced over body parts and outcomes; all; or those that a text"
        " file lists.",
        metavar="N|all|FILE",
    )
    layer: str = setting(
        "",
        Group.HEATMAPS,
        "Layer whose features methods such as gradcam use.",
        metavar="NAME",
        shown_default="the last features before pooling",
    )
    style: Style = setting(
        "inferno",
        Group.HEATMAPS,
        "Colours: inferno has one scale for all images; report2019 scales jet to the maximum of"
        " each image.",
    )

    @property
    def options(self) -> tuple[str, ...]:
        """The architecture's options, as `key=value`."""
        weights = () if self.weights == "none" else (f"weights={self.weights}",)
        return (*self.model_option, *weights)

    @property
    def network_seeds(self) -> tuple[int, ...]:
        """The seeds of the networks whose predictions are averaged; one by default.

        Raises
        ------
        UsageError
            If `seeds` is neither a number nor a list.
        """
        return parse_seeds(self.seeds, self.seed)

    @property
    def recipe(self) -> Recipe:
        """The settings of the training."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    @property
    def reading(self) -> Reading:
        """How the data set is read."""
        return Reading(self.columns, self.positive, self.allow_outside)

    @property
    def square(self) -> Square:
        """The size and shape of the prepared images."""
        return Square(self.size, self.resize, self.fit, self.bit_depth)


def parse_seeds(text: str, first: int) -> tuple[int, ...]:
    """Return the seeds that `--seeds` selects.

    Parameters
    ----------
    text : str
        Number of seeds, such as `3`, or a list, such as `2019,7,11`.
    first : int
        The first seed, if `text` is a number. The others follow at intervals of 1,000, because
        folds, and trainings that restart, use the seeds right after one.

    Raises
    ------
    UsageError
        If `text` is neither, has a duplicate, or asks for too many or too large seeds.
    """
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise UsageError(f"--seeds {text!r} is neither a number, such as 3, nor a list: 2019,7,11")
    seeds = [int(number) for number in numbers]
    if len(seeds) == 1:
        if not 1 <= seeds[0] <= _MOST_SEEDS:
            raise UsageError(
                f"--seeds {text} is a number of networks, from 1 to {_MOST_SEEDS}; --seed {text}"
                " sets the seed of one"
            )
        seeds = [first + _BETWEEN_SEEDS * number for number in range(seeds[0])]
    elif max(seeds) > _LARGEST_SEED:
        raise UsageError(f"--seeds {text} names a seed above {_LARGEST_SEED}")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text} names a seed twice: its networks would be the same")
    return tuple(seeds)
