"""The options of `mura-run`, in groups that commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import click

from mura_core.errors import DataError
from mura_core.training import RECIPES


def _load_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    from mura_core.runs import read_config

    try:
        settings = read_config(path)
    except DataError as error:
        raise click.UsageError(str(error)) from None
    ctx.default_map = {**(ctx.default_map or {}), **settings}


def _load_recipe(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is not None:
        ctx.default_map = {**(ctx.default_map or {}), **RECIPES[name]}


def _load_resumed(ctx: click.Context, _: click.Parameter, folder: Path | None) -> Path | None:
    if folder is not None:
        _load_config(ctx, _, folder / "config.yaml")
        ctx.default_map = {**(ctx.default_map or {}), "out": folder}
    return folder


def options(*some: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds some options, the first of them first."""

    def decorate(function: Any) -> Any:
        for option in reversed(some):
            function = option(function)
        return function

    return decorate


_positive = click.IntRange(min=1)


class Bytes(click.ParamType):  # type: ignore[type-arg]
    """A size such as 8GiB."""

    name = "SIZE"
    _units: ClassVar = {"GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        for unit, size in self._units.items():
            number = str(value).removesuffix(unit).strip()
            if number != value and number.replace(".", "", 1).isdecimal():
                return int(float(number) * size)
        return self.fail(f"{value!r} is not a size such as 8GiB or 7500MB", param, ctx)


size_option = click.option(
    "--size",
    type=_positive,
    show_default="the architecture's, mostly 224",
    help="Side of the images, in pixels.",
)

data_options = options(
    click.option(
        "--data",
        default="phantoms",
        show_default="phantoms, drawn by the computer",
        help="Folder of radiographs (MURA's layout or a manifest.csv), or a CSV.",
    ),
    click.option(
        "--body-part",
        multiple=True,
        metavar="PART",
        help="Only this part, such as elbow; repeat for several.  [default: all]",
    ),
    size_option,
    click.option(
        "--resize",
        type=click.Choice(["area", "bilinear", "linear"]),
        default="area",
        help="The mean over a new pixel's area; a triangle's; or the 2019 code's, which aliases.",
    ),
    click.option(
        "--fit",
        type=click.Choice(["stretch", "pad", "crop"]),
        default="stretch",
        help="Distort to a square, as the report did; add black sides; or cut ends off.",
    ),
    click.option("--strict", is_flag=True, help="Fail where an image can't be read."),
    click.option("--seed", type=click.IntRange(min=0), default=2019, help="Of everything random."),
)

network_options = options(
    click.option("--model", default="conv4", help="Architecture; see `mura-run plugins`."),
    click.option(
        "--model-option", multiple=True, metavar="KEY=VALUE", help="Of the architecture; repeat."
    ),
    click.option(
        "--weights",
        default="none",
        metavar="NAME|FILE",
        help="Weights to start from: imagenet, or a file; see `mura-run plugins`.",
    ),
)

# What decides how much memory training takes.
step_options = options(
    click.option("--batch-size", type=_positive, default=8, help="Images a training step."),
    click.option(
        "--accumulate",
        type=_positive,
        default=1,
        metavar="N",
        help="Average the gradients of N batches: a batch N times as large, in less memory.",
    ),
    click.option(
        "--mixed-precision",
        is_flag=True,
        help="Compute in 16 bits (float16 on a GPU, bfloat16 on a CPU), keep weights in 32.",
    ),
    click.option(
        "--rematerialise",
        is_flag=True,
        help="Compute features again on the way back: less memory, a third more work.",
    ),
)

_fit_option = click.option(
    "--gpu-memory",
    type=Bytes(),
    help="Make the training fit GPUs of this size, such as 8GiB, as `mura-run plan` would.",
)

training_options = options(
    network_options,
    step_options,
    _fit_option,
    click.option("--epochs", type=_positive, default=10, help="Passes over the training images."),
    click.option(
        "--learning-rate", type=click.FloatRange(0, min_open=True), default=3e-3, help="Of Adam."
    ),
    click.option(
        "--schedule",
        type=click.Choice(["constant", "cosine", "plateau"]),
        default="cosine",
        help="Of the learning rate: cosine falls to 0; plateau divides by 10 after 3 bad epochs.",
    ),
    click.option(
        "--warm-up",
        type=click.FloatRange(0),
        default=1.0,
        metavar="EPOCHS",
        help="Over which the cosine schedule's rate rises from 0.",
    ),
    click.option("--weight-decay", type=click.FloatRange(0), default=0.0, help="Above 0: AdamW's."),
    click.option(
        "--label-smoothing",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        help="Train towards labels this much nearer to one half, of 0 and 1.",
    ),
    click.option(
        "--gradient-centralisation/--no-gradient-centralisation",
        default=True,
        help="Take the mean off each unit's kernel gradient, which keeps units from dying.",
    ),
    click.option(
        "--zero-logit/--no-zero-logit",
        default=True,
        help="Start the weights of the final dense layer, if it is named logit, at zero.",
    ),
    click.option(
        "--head-rate",
        type=click.FloatRange(0, min_open=True),
        default=1.0,
        metavar="FACTOR",
        help="Learning rate of the head, layers named logit... or cells..., of the others'.",
    ),
    click.option(
        "--cell-loss",
        type=click.FloatRange(0),
        default=20.0,
        metavar="WEIGHT",
        help="Of learning where findings are, with boxes.csv and a network with a cell map.",
    ),
    click.option(
        "--average-flips",
        is_flag=True,
        help="Predict the mean of each image's probability and its mirror image's.",
    ),
    click.option(
        "--restart/--no-restart",
        default=True,
        help="Train again from the next seed, at most twice, if the network collapses: gives"
        " every image the same answer; or fail.",
    ),
    click.option(
        "--augment",
        multiple=True,
        metavar="KIND[=AMOUNT]",
        help="Change training images at random: flip, rotate, shift, zoom, contrast, brightness;"
        " repeat for several.  rotate=15 sets the most that it changes.",
    ),
    click.option(
        "--keep",
        type=click.Choice(["last", "best"]),
        default="last",
        help="The last epoch's weights, or those of the best by the watched figure.",
    ),
    click.option(
        "--early-stopping",
        type=click.IntRange(0),
        default=0,
        metavar="EPOCHS",
        help="Stop after so many epochs without a better watched figure; 0: never.",
    ),
    click.option(
        "--watch",
        type=click.Choice(["loss", "auroc"]),
        default="loss",
        help="Figure that decides, on a tenth of the training patients, held out for it.",
    ),
    click.option(
        "--devices",
        default="all",
        help="Train on these, such as cpu or gpu:0,gpu:1.  all: every GPU there is.",
    ),
    click.option(
        "--seeds",
        default="1",
        metavar="N|LIST",
        help="Train so many networks that differ by seed alone, or one from each of a list such as"
        " 2019,7,11, and average them.",
    ),
    click.option(
        "--deterministic", is_flag=True, help="The same bits in every run, which takes longer."
    ),
    click.option(
        "--shuffled-labels",
        is_flag=True,
        help="Also train a network on shuffled labels, beside which heatmaps are measured: twice"
        " the time.",
    ),
    click.option(
        "--class-weights",
        type=click.Choice(["report", "root", "none"]),
        default="report",
        help="Both labels count alike, as in the report; by the root of that ratio; or not at all.",
    ),
    click.option(
        "--false-positive-bias",
        type=click.FloatRange(0),
        default=0.0,
        metavar="B",
        help="The b of the class weights: above 0, fewer false negatives.",
    ),
    click.option(
        "--jit",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        help="Compile the training step by XLA; automatically, on a CPU without AVX-512.",
    ),
    click.option(
        "--standardise/--no-standardise",
        default=True,
        help="By the training images' mean and deviation, or pixels as they are, 0 to 255.",
    ),
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=lambda: Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}",
        show_default="runs/<time>",
        help="The run folder, which must be new.",
    ),
    click.option(
        "--recipe",
        type=click.Choice(list(RECIPES)),
        is_eager=True,
        expose_value=False,
        callback=_load_recipe,
        help="Options that were tried together; others that are given as well go before.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        help="YAML with any of these options; a run folder's config.yaml repeats the run.",
    ),
    click.option(
        "--resume",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="RUN",
        is_eager=True,
        callback=_load_resumed,
        help="Go on with a run that was stopped, from its last checkpoint, with its settings.",
    ),
)

_judging_options = options(
    click.option(
        "--operating-point",
        default="0.5",
        metavar="RULE",
        help="From what probability it is abnormal: a number, youden, sensitivity=0.95 or"
        " specificity=0.9; chosen on training patients that were held out. Two points,"
        " sensitivity=0.95,specificity=0.95 or 0.3,0.7: normal below the first, abnormal from the"
        " second, uncertain between.",
    ),
    click.option(
        "--calibrate",
        type=click.Choice(["none", "temperature", "isotonic"]),
        default="none",
        help="Probabilities, on training patients that were held out.",
    ),
    click.option(
        "--study-score",
        type=click.Choice(["mean", "max", "noisy-or"]),
        default="mean",
        help="A study's probability, and a patient's, from its images': their mean, the highest,"
        " or 1 - prod(1 - p).",
    ),
)

validation_options = options(
    click.option(
        "--validate",
        type=click.Choice(["split", "holdout", "kfold"]),
        default="split",
        help="On the data's own valid images; or on training patients, held out once or in folds,"
        " and the valid images are left alone.",
    ),
    click.option(
        "--proportion",
        type=click.FloatRange(0.05, 0.95),
        default=0.8,
        help="Of the training images, that train with --validate holdout.",
    ),
    click.option(
        "--folds",
        type=click.IntRange(min=2),
        default=5,
        metavar="K",
        help="With --validate kfold: every training image is judged by a network that hasn't seen"
        " its patient.",
    ),
    _judging_options,
)

explain_options = options(
    click.option(
        "--explain",
        multiple=True,
        metavar="NAME",
        help="Draw heatmaps by this method, such as gradcam; repeat for several, or all.",
    ),
    click.option(
        "--explain-images",
        default="24",
        metavar="N|all|FILE",
        help="So many, of every part and outcome in turn; all that were judged; or those whose"
        " paths a text file lists.",
    ),
    click.option(
        "--layer",
        default="",
        show_default="the last features before they are pooled",
        help="Whose features methods like gradcam look at.",
    ),
    click.option(
        "--style",
        type=click.Choice(["inferno", "report2019"]),
        default="inferno",
        help="Colours: one scale for the set, or the report's jet, each image by its own maximum.",
    ),
)

verbosity_options = options(
    click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors alone."),
    click.option("--verbose", "-v", is_flag=True, help="Print what is going on inside."),
)

run_argument = click.argument(
    "folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
