"""The command `mura-run`. What a command needs is imported when it runs."""

from __future__ import annotations

import functools
import json
import logging
import sys
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from mura_core.errors import DataError, MuraError
from mura_core.recipe import RECIPES

if TYPE_CHECKING:
    from mura_core.run_folder import RunConfig

_NOT_A_DEVICE = "For research and teaching: not a medical device, never in place of a radiologist."


class _WithDefaultCommand(click.Group):
    """`mura-run --model conv4` means `mura-run run --model conv4`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "--version"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefaultCommand, epilog=_NOT_A_DEVICE)
@click.version_option(package_name="mura-run")
def main() -> None:
    """Train, judge and explain classifiers of musculoskeletal radiographs.

    Options without a command are those of `run`: mura-run --model conv4 --explain gradcam
    trains on the embedded phantoms, and --data FOLDER on your own radiographs.
    """


# What commands have in common -----------------------------------------------------------------


def _load_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    from mura_core.run_folder import read_config

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


def _refuse_changes(resume: Path | None) -> None:
    """Raise a UsageError if a run that goes on is asked for with other settings."""
    ctx = click.get_current_context()
    given = [
        name
        for name in ctx.params
        if name != "resume"
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if resume is not None and given:
        option = "--" + given[0].replace("_", "-")
        raise click.UsageError(f"--resume goes on with the run's own settings; leave out {option}")


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_positive = click.IntRange(min=1)


class _Bytes(click.ParamType):  # type: ignore[type-arg]
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


_size = click.option(
    "--size",
    type=_positive,
    show_default="the architecture's, mostly 224",
    help="Side of the images, in pixels.",
)

_data_options = _options(
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
    _size,
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

_network_options = _options(
    click.option("--model", default="conv4", help="Architecture; see `mura-run plugins`."),
    click.option(
        "--model-option", multiple=True, metavar="KEY=VALUE", help="Of the architecture; repeat."
    ),
    click.option(
        "--weights",
        default="none",
        metavar="NAME|FILE",
        help="To start from, for keras: models: imagenet, or a file.",
    ),
)

# What decides how much memory training takes.
_step_options = _options(
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
    type=_Bytes(),
    help="Make the training fit GPUs of this size, such as 8GiB, as `mura-run plan` would.",
)

_training_options = _options(
    _network_options,
    _step_options,
    _fit_option,
    click.option("--epochs", type=_positive, default=10, help="Passes over the training images."),
    click.option(
        "--learning-rate", type=click.FloatRange(0, min_open=True), default=1e-3, help="Of Adam."
    ),
    click.option(
        "--schedule",
        type=click.Choice(["constant", "cosine", "plateau"]),
        default="constant",
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
        "--augment",
        multiple=True,
        type=click.Choice(["flip", "rotate", "shift", "contrast"]),
        help="Change training images at random, anew in every epoch; repeat for several.",
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
        "--deterministic", is_flag=True, help="The same bits in every run, which takes longer."
    ),
    click.option(
        "--class-weights",
        type=click.Choice(["report", "none"]),
        default="report",
        help="The 2019 report's: 1 + P/N for normal, 1 + (N + b)/P for abnormal images.",
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

_judging_options = _options(
    click.option(
        "--operating-point",
        default="0.5",
        metavar="RULE",
        help="From what probability it is abnormal: a number, youden, sensitivity=0.95 or"
        " specificity=0.9; chosen on training patients that were held out.",
    ),
    click.option(
        "--calibrate",
        type=click.Choice(["none", "temperature", "isotonic"]),
        default="none",
        help="Probabilities, on training patients that were held out.",
    ),
)

_validation_options = _options(
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

_explain_options = _options(
    click.option(
        "--explain",
        multiple=True,
        metavar="NAME",
        help="Draw heatmaps by this method, such as gradcam; repeat for several, or all.",
    ),
    click.option(
        "--explain-images",
        type=click.IntRange(0),
        default=24,
        help="How many get a heatmap, of every part and outcome in turn; 0: all.",
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

_verbosity_options = _options(
    click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors alone."),
    click.option("--verbose", "-v", is_flag=True, help="Print what is going on inside."),
)

_run_argument = click.argument(
    "folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


def _command(*options: Callable[[Any], Any]) -> Callable[[Any], click.Command]:
    """Make a command with these options, whose failures are one line and an exit status."""

    def decorate(function: Any) -> click.Command:
        @functools.wraps(function)
        def guarded(*, quiet: bool, verbose: bool, **arguments: Any) -> None:
            _set_up_logging(quiet, verbose)
            # A file that claims absurdly many pixels is an error, not a remark on the console.
            warnings.filterwarnings("error", message=".*decompression bomb.*")
            try:
                function(**arguments)
            except KeyboardInterrupt:
                from mura_core.run import what_is_safe

                _stop("Stopped", what_is_safe(arguments.get("out")), 130)
            except MuraError as error:
                _stop("Error", str(error), error.exit_status)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                _stop("Error", f"{where}{error.strerror or error}", 1)
            except Exception as error:
                from mura_plugins.manager import PluginError

                if not isinstance(error, PluginError):
                    raise
                _stop("Error", str(error), 2)

        for option in reversed((*options, _verbosity_options)):
            guarded = option(guarded)
        return main.command(context_settings={"show_default": True}, epilog=_NOT_A_DEVICE)(guarded)

    return decorate


def _stop(kind: str, message: str, status: int) -> None:
    click.echo(f"{kind}: {message}", err=True)
    sys.exit(status)


def _set_up_logging(quiet: bool, verbose: bool) -> None:
    log = logging.getLogger("mura")
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    # Results go to standard output, which may be piped on; warnings don't.
    results, warned = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    results.addFilter(lambda record: record.levelno < logging.WARNING)
    warned.setLevel(logging.WARNING)
    log.handlers = [results, warned]


def _config(settings: dict[str, Any], gpu_memory: int | None = None) -> RunConfig:
    from mura_core.run import fit_into
    from mura_core.run_folder import RunConfig
    from mura_plugins.manager import load_plugins

    if settings["size"] is None:
        settings["size"] = load_plugins().architecture(settings["model"]).input_size
    config = RunConfig(**settings)
    return config if gpu_memory is None else fit_into(config, gpu_memory)


# The commands ---------------------------------------------------------------------------------


@_command(_data_options, _training_options, _validation_options, _explain_options)
def run(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train, judge and explain, and write a report: the default command."""
    from mura_core.run import run

    _refuse_changes(resume)
    run(_config(settings, gpu_memory), out, resume=resume is not None)


@_command(_data_options, _training_options, _validation_options)
def train(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train a model and judge it on the validation images."""
    from mura_core.judging import evaluate
    from mura_core.run import train, write_report

    _refuse_changes(resume)
    train(_config(settings, gpu_memory), out, resume=resume is not None)
    evaluate(out)
    write_report(out)


@_command(
    _network_options,
    _size,
    _step_options,
    click.option("--gpu-memory", type=_Bytes(), default="8GiB", help="Of the GPU."),
)
def plan(gpu_memory: int, **settings: Any) -> None:
    """Say what memory a training would take, and how it fits a GPU, before it starts."""
    from mura_core.run import plan

    click.echo(plan(_config(settings), gpu_memory))


@_command(
    _data_options,
    click.option(
        "--csv-by-part",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Write the images' paths there too, a CSV a split and body part.",
    ),
    click.option(
        "--statistics-only",
        is_flag=True,
        help="Keep the training images' mean and deviation image alone, not the images.",
    ),
)
def prepare(
    csv_by_part: Path | None, statistics_only: bool, size: int | None, **settings: Any
) -> None:
    """Read every image once, and keep it in the cache for later runs."""
    from mura_core.data import (
        open_data,
        plugin_readers,
        prepare_images,
        prepare_statistics,
        say_counts,
    )
    from mura_core.manifest import write_csv_by_part
    from mura_core.run_folder import RunConfig
    from mura_plugins.manager import load_plugins

    config = RunConfig(**settings) if size is None else RunConfig(size=size, **settings)
    manifest = open_data(config.data, config.body_part, config.seed)
    say_counts(config.data, manifest)
    if csv_by_part is not None:
        written = write_csv_by_part(manifest, csv_by_part)
        click.echo(f"Wrote {len(written)} path files to {csv_by_part}")
    readers = plugin_readers(load_plugins())
    if statistics_only:
        prepare_statistics(manifest, config, readers)
    else:
        prepare_images(manifest, config, readers)


@_command(
    _run_argument,
    click.option(
        "--operating-point",
        metavar="RULE",
        show_default="as before",
        help="A probability, youden, sensitivity=0.95 or specificity=0.9.",
    ),
    click.option(
        "--calibrate",
        type=click.Choice(["none", "temperature", "isotonic"]),
        show_default="as before",
        help="Probabilities.",
    ),
)
def evaluate(folder: Path, operating_point: str | None, calibrate: str | None) -> None:
    """Judge a run's predictions once more, without its model.

    Operating point and calibration are chosen on what the run held out of its training for that,
    or on its other folds.
    """
    from mura_core.judging import evaluate
    from mura_core.run import write_report

    evaluate(folder, operating_point=operating_point, calibrate=calibrate)
    write_report(folder)


@_command(
    click.argument(
        "folders",
        nargs=2,
        metavar="RUN RUN",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
    ),
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A CSV to write, with every figure of every body part.",
    ),
)
def compare(folders: tuple[Path, Path], out: Path | None) -> None:
    """Compare two runs that judged the same images: each figure's difference, with an interval."""
    from mura_core.files import write_csv
    from mura_core.judging import compare

    table = compare(*folders)
    if out is not None:
        write_csv(out, table)


@_command(_run_argument, _explain_options)
def explain(folder: Path, explain: tuple[str, ...], **settings: Any) -> None:
    """Draw heatmaps for a trained run, and measure them where the data has boxes."""
    from mura_core.explaining import explain as explain_run
    from mura_core.run import write_report

    explain_run(folder, explainers=explain, **settings)
    write_report(folder)


_model_file = click.option(
    "--model-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run's model.keras.",
)


@_command(
    _model_file,
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["savedmodel", "onnx", "h5"]),
        default="savedmodel",
        help="TensorFlow's, everybody's, or Keras' older one.",
    ),
    click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path),
        help="The file, or for savedmodel the folder, to write.",
    ),
)
def export(model_file: Path, file_format: str, out: Path) -> None:
    """Write a trained model for other programs: raw images in, logits out."""
    from mura_core.run import export

    export(model_file, out, file_format)


@_command(
    click.option(
        "--model-file",
        "model_files",
        multiple=True,
        required=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A run's model.keras; of several, the mean of their probabilities.",
    ),
    click.option(
        "--flip", is_flag=True, help="The mean with the mirrored image's probability, too."
    ),
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        show_default="the console",
        help="The CSV to write.",
    ),
    click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)),
)
def predict(
    model_files: tuple[Path, ...], flip: bool, out: Path | None, images: tuple[Path, ...]
) -> None:
    """Predict new images with one or more trained models: files, or folders of them.

    The images of one folder are taken for one study, whose probability is their mean.
    """
    from mura_core.files import write_csv
    from mura_core.run import predict

    table = predict(model_files, images, flip=flip)
    if out is None:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        write_csv(out, table)


@_command(click.option("--json", "as_json", is_flag=True, help="For programs to read."))
def plugins(as_json: bool) -> None:
    """List architectures, explainers and readers, and who provides them."""
    from dataclasses import asdict

    from mura_plugins.manager import load_plugins

    found = load_plugins()
    kinds: dict[str, list[Any]] = {
        "architecture": found.architectures,
        "explainer": found.explainers,
        "reader": found.readers,
    }
    rows = [
        {
            "kind": kind,
            "name": offer.record.name,
            "summary": offer.record.summary,
            "distribution": offer.distribution,
            "version": offer.version,
        }
        for kind, offers in kinds.items()
        for offer in offers
    ]
    if as_json:
        failures = [asdict(failure) for failure in found.failures]
        click.echo(json.dumps({"plugins": rows, "failures": failures}, indent=1))
        return
    for row in rows:
        provider = f"{row['distribution']} {row['version']}"
        click.echo(f"{row['kind']:<13} {row['name']:<14} {row['summary']}  ({provider})")
    for failure in found.failures:
        click.echo(
            f"failed        {failure.plugin:<14} {failure.reason}  ({failure.distribution})",
            err=True,
        )


if __name__ == "__main__":
    main()
